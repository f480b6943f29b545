# Terraform refuses values out of bounds before it creates anything.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  region           = "eu-central-1"
  name_prefix      = "IMS"
  oms_events_queue = { name = "OMS-OrderEventsQueue" }
  auth             = { issuer = "https://login.example.com", audience = "ims" }
}

run "batch_of_zero" {
  command = plan

  variables {
    batch_size = 0
  }

  expect_failures = [var.batch_size]
}

run "batch_too_large" {
  command = plan

  variables {
    batch_size = 10001
  }

  expect_failures = [var.batch_size]
}

run "window_too_long" {
  command = plan

  variables {
    batch_window_seconds = 301
  }

  expect_failures = [var.batch_window_seconds]
}

run "concurrency_of_one" {
  command = plan

  variables {
    maximum_concurrency = 1
  }

  expect_failures = [var.maximum_concurrency]
}

run "concurrency_of_a_fraction" {
  command = plan

  variables {
    maximum_concurrency = 2.5
  }

  expect_failures = [var.maximum_concurrency]
}

run "reserved_concurrency_of_zero" {
  command = plan

  variables {
    functions = { api = { reserved_concurrency = 0 } }
  }

  expect_failures = [var.functions]
}

run "reserved_concurrency_of_a_fraction" {
  command = plan

  variables {
    functions = { api = { reserved_concurrency = 1.5 } }
  }

  expect_failures = [var.functions]
}

run "memory_too_small" {
  command = plan

  variables {
    functions = { authorizer = { memory_mb = 64 } }
  }

  expect_failures = [var.functions]
}

run "memory_too_large" {
  command = plan

  variables {
    functions = { consumer = { memory_mb = 10241 } }
  }

  expect_failures = [var.functions]
}

run "memory_of_a_fraction" {
  command = plan

  variables {
    functions = { api = { memory_mb = 1024.5 } }
  }

  expect_failures = [var.functions]
}

run "function_unknown" {
  command = plan

  variables {
    functions = { apis = { memory_mb = 1024 } }
  }

  expect_failures = [var.functions]
}

run "api_slower_than_api_gateway_waits" {
  command = plan

  variables {
    functions = { api = { timeout_seconds = 30 } }
  }

  expect_failures = [var.functions]
}

run "api_without_time" {
  command = plan

  variables {
    functions = { api = { timeout_seconds = 0 } }
  }

  expect_failures = [var.functions]
}

run "api_time_out_of_a_fraction" {
  command = plan

  variables {
    functions = { api = { timeout_seconds = 12.5 } }
  }

  expect_failures = [var.functions]
}

run "authorizer_slower_than_api_gateway_waits" {
  command = plan

  variables {
    functions = { authorizer = { timeout_seconds = 30 } }
  }

  expect_failures = [var.functions]
}

run "authorizer_without_time" {
  command = plan

  variables {
    functions = { authorizer = { timeout_seconds = 0 } }
  }

  expect_failures = [var.functions]
}

run "consumer_without_time_to_retry" {
  command = plan

  variables {
    functions = { consumer = { timeout_seconds = 19 } }
  }

  expect_failures = [var.functions]
}

run "consumer_slower_than_lambda_allows" {
  command = plan

  variables {
    functions = { consumer = { timeout_seconds = 901 } }
  }

  expect_failures = [var.functions]
}

run "sweep_without_time_to_send" {
  command = plan

  variables {
    functions = { sweep = { timeout_seconds = 19 } }
  }

  expect_failures = [var.functions]
}

run "sweep_that_meets_the_next" {
  command = plan

  variables {
    functions = { sweep = { timeout_seconds = 51 } }
  }

  expect_failures = [var.functions]
}

run "one_delivery" {
  command = plan

  variables {
    max_receive_count = 1
  }

  expect_failures = [var.max_receive_count]
}

run "retention_too_long" {
  command = plan

  variables {
    queue_retention_days = 11
  }

  expect_failures = [var.queue_retention_days]
}

run "oms_queue_is_fifo" {
  command = plan

  variables {
    oms_events_queue = { arn = "arn:aws:sqs:eu-central-1:222222222222:OMS.fifo", url = "https://sqs.eu-central-1.amazonaws.com/222222222222/OMS.fifo" }
  }

  expect_failures = [var.oms_events_queue]
}

run "oms_key_by_alias" {
  command = plan

  variables {
    oms_events_queue = { name = "OMS", kms_key_arn = "arn:aws:kms:eu-central-1:222222222222:alias/oms" }
  }

  expect_failures = [var.oms_events_queue]
}

run "everyone_may_send" {
  command = plan

  variables {
    oms_sender_arns = ["*"]
  }

  expect_failures = [var.oms_sender_arns]
}

run "any_topic_may_deliver" {
  command = plan

  variables {
    oms_source_arns = ["arn:aws:sns:eu-central-1:222222222222:*"]
  }

  expect_failures = [var.oms_source_arns]
}

run "firm_orders_closed_at_once" {
  command = plan

  variables {
    fulfill_after_days = 0
  }

  expect_failures = [var.fulfill_after_days]
}

run "firm_orders_closed_after_a_day_and_a_half" {
  command = plan

  variables {
    fulfill_after_days = 1.5
  }

  expect_failures = [var.fulfill_after_days]
}

run "firm_orders_closed_after_a_lifetime" {
  command = plan

  variables {
    fulfill_after_days = 3651
  }

  expect_failures = [var.fulfill_after_days]
}

run "no_issuer" {
  command = plan

  variables {
    auth = { issuer = "", audience = "ims" }
  }

  expect_failures = [var.auth]
}

run "no_audience" {
  command = plan

  variables {
    auth = { issuer = "https://login.example.com", audience = "" }
  }

  expect_failures = [var.auth]
}

run "scope_prefix_with_a_space" {
  command = plan

  variables {
    auth = { issuer = "https://login.example.com", audience = "ims", scope_prefix = "ims/ " }
  }

  expect_failures = [var.auth]
}

run "keys_without_tls" {
  command = plan

  variables {
    auth = { issuer = "https://login.example.com", audience = "ims", jwks_url = "http://login.example.com/keys" }
  }

  expect_failures = [var.auth]
}

run "log_level_that_loses_metrics" {
  command = plan

  variables {
    log_level = "ERROR"
  }

  expect_failures = [var.log_level]
}

run "log_retention_unknown" {
  command = plan

  variables {
    log_retention_days = 31
  }

  expect_failures = [var.log_retention_days]
}

run "recovery_too_long" {
  command = plan

  variables {
    point_in_time_recovery_days = 36
  }

  expect_failures = [var.point_in_time_recovery_days]
}

run "name_prefix_too_long" {
  command = plan

  variables {
    name_prefix = "a-name-that-is-longer-than-roles-allow"
  }

  expect_failures = [var.name_prefix]
}

run "region_without_code" {
  command = plan

  variables {
    region = "Frankfurt"
  }

  expect_failures = [var.region]
}

run "tag_of_aws" {
  command = plan

  variables {
    tags = { "aws:owner" = "me" }
  }

  expect_failures = [var.tags]
}

run "stage_name_with_a_slash" {
  command = plan

  variables {
    api_stage_name = "v1/"
  }

  expect_failures = [var.api_stage_name]
}

run "api_rate_of_zero" {
  command = plan

  variables {
    api_throttle = { rate = 0 }
  }

  expect_failures = [var.api_throttle]
}

run "alarm_topic_by_name" {
  command = plan

  variables {
    alarm_topic_arn = "on-call"
  }

  expect_failures = [var.alarm_topic_arn]
}

run "alarm_without_mail_address" {
  command = plan

  variables {
    alarm_emails = ["on-call"]
  }

  expect_failures = [var.alarm_emails]
}

run "alarm_at_zero" {
  command = plan

  variables {
    alarm_thresholds = { api_5xx = 0 }
  }

  expect_failures = [var.alarm_thresholds]
}

run "alarm_on_holds_that_are_not_late" {
  command = plan

  variables {
    alarm_thresholds = { holds_overdue_seconds = 0 }
  }

  expect_failures = [var.alarm_thresholds]
}

run "alarm_after_half_a_minute" {
  command = plan

  variables {
    alarm_thresholds = { silent_minutes = 0.5 }
  }

  expect_failures = [var.alarm_thresholds]
}
