# The child module: Chalice's package, rewritten by deploy/template.py.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  api       = { name = "api", gateway_responses = { UNAUTHORIZED = { statusCode = "401" } } }
  functions = { for key in jsondecode(file("chalice/chalice.tf.json")).locals.packaged_functions : key => { name = key, role_arn = "arn:aws:iam::111111111111:role/mock", log_group = key, memory_mb = 128, timeout_seconds = 20, reserved_concurrency = null, environment = {} } }
  consumer  = { queue_arn = "arn:aws:sqs:eu-central-1:111111111111:q", batch_size = 10, batch_window_seconds = 0, maximum_concurrency = 2 }
  log_level = "INFO"
}

run "made" {
  module {
    source = "./chalice"
  }

  assert {
    condition     = output.function_names == { for key, function in var.functions : key => function.name }
    error_message = "every function is created and has its name"
  }
}

# The API gets a new deployment only if its definition changed.

run "same_definition" {
  command = plan

  module {
    source = "./chalice"
  }

  variables {
    functions = { for key in jsondecode(file("chalice/chalice.tf.json")).locals.packaged_functions : key => { name = key, role_arn = "arn:aws:iam::111111111111:role/mock", log_group = key, memory_mb = 2048, timeout_seconds = 25, reserved_concurrency = 7, environment = { AUTH_ISSUER = "https://other.example.com" } } }
    log_level = "DEBUG"
  }

  assert {
    condition     = output.api_checksum == run.made.api_checksum
    error_message = "a change outside the API's definition creates no new deployment"
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
    error_message = "a change of the API's definition creates a new deployment"
  }
}

# Each function needs a row, and each row a function.

run "function_without_a_row" {
  command = plan

  module {
    source = "./chalice"
  }

  variables {
    functions = { api = { name = "api", role_arn = "arn:aws:iam::111111111111:role/mock", log_group = "api", memory_mb = 128, timeout_seconds = 20, reserved_concurrency = null, environment = {} } }
  }

  expect_failures = [var.functions]
}

run "row_without_a_function" {
  command = plan

  module {
    source = "./chalice"
  }

  variables {
    functions = { for key in concat(jsondecode(file("chalice/chalice.tf.json")).locals.packaged_functions, ["other"]) : key => { name = key, role_arn = "arn:aws:iam::111111111111:role/mock", log_group = key, memory_mb = 128, timeout_seconds = 20, reserved_concurrency = null, environment = {} } }
  }

  expect_failures = [var.functions]
}
