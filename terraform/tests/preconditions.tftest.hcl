# Terraform refuses values that do not fit together before it creates anything.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  region           = "eu-central-1"
  name_prefix      = "IMS"
  oms_events_queue = { name = "OMS-OrderEventsQueue" }
  auth             = { issuer = "https://login.example.com", audience = "ims" }
}

run "visibility_below_six_timeouts" {
  command = plan

  variables {
    visibility_timeout_seconds = 360
  }

  expect_failures = [aws_sqs_queue.inventory]
}

run "visibility_too_short_for_the_window" {
  command = plan

  variables {
    visibility_timeout_seconds = 361
    batch_window_seconds       = 30
  }

  expect_failures = [aws_sqs_queue.inventory]
}

run "visibility_too_short_for_a_longer_timeout" {
  command = plan

  variables {
    visibility_timeout_seconds = 400
    functions                  = { consumer = { timeout_seconds = 120 } }
  }

  expect_failures = [aws_sqs_queue.inventory]
}

run "record_shorter_than_the_queues" {
  command = plan

  variables {
    record_ttl_days = 18
  }

  expect_failures = [aws_dynamodb_table.processed_events]
}

run "record_just_as_long_as_the_queues_and_a_day" {
  command = plan

  variables {
    record_ttl_days = 19
  }

  expect_failures = [aws_dynamodb_table.processed_events]
}

run "record_shorter_than_long_queues" {
  command = plan

  variables {
    record_ttl_days      = 25
    queue_retention_days = 10
  }

  expect_failures = [aws_dynamodb_table.processed_events]
}

run "large_batch_without_window" {
  command = plan

  variables {
    batch_size           = 11
    batch_window_seconds = 0
  }

  expect_failures = [var.batch_size]
}

run "concurrency_above_reserved_concurrency" {
  command = plan

  variables {
    maximum_concurrency = 5
    functions           = { consumer = { reserved_concurrency = 4 } }
  }

  expect_failures = [var.maximum_concurrency]
}

run "oms_queue_not_given" {
  command = plan

  variables {
    oms_events_queue = {}
  }

  expect_failures = [var.oms_events_queue]
}

run "oms_queue_without_url" {
  command = plan

  variables {
    oms_events_queue = { arn = "arn:aws:sqs:eu-central-1:222222222222:OMS" }
  }

  expect_failures = [var.oms_events_queue]
}

run "oms_queue_given_twice" {
  command = plan

  variables {
    oms_events_queue = { name = "OMS", arn = "arn:aws:sqs:eu-central-1:222222222222:OMS", url = "https://sqs.eu-central-1.amazonaws.com/222222222222/OMS" }
  }

  expect_failures = [var.oms_events_queue]
}
