# The API is deployed anew when, and only when, its definition changed.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  api             = { name = "api", gateway_responses = { UNAUTHORIZED = { statusCode = "401" } } }
  functions       = { for key in ["api", "authorizer", "consumer"] : key => { name = key, role_arn = "arn:aws:iam::111111111111:role/mock", log_group = key, memory_mb = 128, timeout_seconds = 20, reserved_concurrency = null } }
  tables          = { product = "product", inventory = "inventory", processed_events = "records" }
  consumer        = { queue_arn = "arn:aws:sqs:eu-central-1:111111111111:q", batch_size = 10, batch_window_seconds = 0, maximum_concurrency = 2, oms_events_queue_url = "https://oms" }
  auth            = { issuer = "https://login.example.com", audience = "ims", jwks_url = "" }
  record_ttl_days = 90
  service_name    = "ims"
  log_level       = "INFO"
}

run "made" {
  module {
    source = "./chalice"
  }
}

run "same_definition" {
  command = plan

  module {
    source = "./chalice"
  }

  variables {
    functions       = { for key in ["api", "authorizer", "consumer"] : key => { name = key, role_arn = "arn:aws:iam::111111111111:role/mock", log_group = key, memory_mb = 2048, timeout_seconds = 25, reserved_concurrency = 7 } }
    auth            = { issuer = "https://other.example.com", audience = "other", jwks_url = "" }
    record_ttl_days = 100
    log_level       = "DEBUG"
  }

  assert {
    condition     = output.api_checksum == run.made.api_checksum
    error_message = "what is no part of the API's definition does not deploy it anew"
  }
}

run "another_definition" {
  command = plan

  module {
    source = "./chalice"
  }

  variables {
    api = { name = "api", gateway_responses = { UNAUTHORIZED = { statusCode = "403" } } }
  }

  assert {
    condition     = output.api_checksum != run.made.api_checksum
    error_message = "another definition deploys the API anew"
  }
}
