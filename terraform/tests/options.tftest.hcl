# A stage with every option used.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  region      = "eu-central-1"
  name_prefix = "IMS"
  oms_events_queue = {
    arn         = "arn:aws:sqs:eu-central-1:222222222222:OMS-OrderEventsQueue"
    url         = "https://sqs.eu-central-1.amazonaws.com/222222222222/OMS-OrderEventsQueue"
    kms_key_arn = "arn:aws:kms:eu-central-1:222222222222:key/11111111-2222-3333-4444-555555555555"
  }
  oms_sender_arns = ["arn:aws:iam::222222222222:role/oms-order-service"]
  oms_source_arns = ["arn:aws:sns:eu-central-1:222222222222:orders", "arn:aws:events:eu-central-1:111111111111:rule/shop/orders"]
  auth            = { issuer = "https://login.example.com", audience = "ims", jwks_url = "https://login.example.com/keys", scope_prefix = "https://api.example.com/" }

  functions = {
    api        = { timeout_seconds = 12 }
    authorizer = { timeout_seconds = 1, memory_mb = 128 }
    consumer   = { timeout_seconds = 120, reserved_concurrency = 20 }
  }
  batch_size                 = 500
  batch_window_seconds       = 2
  maximum_concurrency        = 20
  visibility_timeout_seconds = 900
  max_receive_count          = 10
  queue_retention_days       = 10
  fulfill_after_days         = 30
  deletion_protection        = false
  log_retention_days         = 365
  api_throttle               = { rate = 50, burst = 60 }
  manage_api_gateway_account = true
  alarm_topic_arn            = "arn:aws:sns:eu-central-1:111111111111:on-call"
  alarm_emails               = ["on-call@example.com"]
}

run "everything" {
  assert {
    condition     = local.environments.authorizer.AUTH_SCOPE_PREFIX == "https://api.example.com/"
    error_message = "the authorizer knows what the issuer puts before the names of the scopes"
  }

  assert {
    condition     = { for function, environment in local.environments : function => environment.FULFILL_AFTER_DAYS if can(environment.FULFILL_AFTER_DAYS) } == { api = 30, consumer = 30, sweep = 30 }
    error_message = "whoever settles orders knows when a firm one is old"
  }

  assert {
    condition     = length(data.aws_sqs_queue.oms_events) == 0 && output.environment.OMS_EVENTS_QUEUE_URL == var.oms_events_queue.url
    error_message = "the OMS's queue in another account is used as given, without a lookup"
  }

  assert {
    condition = alltrue([
      for function in ["consumer", "sweep"] : anytrue([
        for statement in jsondecode(aws_iam_role_policy.function[function].policy).Statement :
        toset(statement.Action) == toset(["kms:Decrypt", "kms:GenerateDataKey"]) && statement.Resource == [var.oms_events_queue.kms_key_arn]
      ])
    ])
    error_message = "consumer and sweep may use the key of the OMS's queue"
  }

  assert {
    condition = alltrue([
      for function in ["api", "authorizer"] :
      !strcontains(aws_iam_role_policy.function[function].policy, "kms:")
    ])
    error_message = "no other function may use the key"
  }

  assert {
    condition = jsonencode([
      for statement in jsondecode(aws_sqs_queue_policy.inventory.policy).Statement :
      [statement.Principal, try(statement.Condition, null), statement.Action, statement.Resource] if statement.Effect == "Allow"
      ]) == jsonencode([
      [{ AWS = var.oms_sender_arns }, null, "sqs:SendMessage", aws_sqs_queue.inventory.arn],
      [{ Service = "events.amazonaws.com" }, { ArnEquals = { "aws:SourceArn" = [var.oms_source_arns[1]] } }, "sqs:SendMessage", aws_sqs_queue.inventory.arn],
      [{ Service = "sns.amazonaws.com" }, { ArnEquals = { "aws:SourceArn" = [var.oms_source_arns[0]] } }, "sqs:SendMessage", aws_sqs_queue.inventory.arn],
    ])
    error_message = "the OMS's principals may send, its topics and rules deliver, and they may do nothing else"
  }

  assert {
    condition     = aws_sqs_queue.inventory.visibility_timeout_seconds == 900 && jsondecode(aws_sqs_queue.inventory.redrive_policy).maxReceiveCount == 10
    error_message = "the visibility time-out and the number of deliveries are those of the variables"
  }

  assert {
    condition     = module.chalice.event_source_mapping.batch_size == 500 && module.chalice.event_source_mapping.maximum_concurrency == 20
    error_message = "batch size and concurrency are those of the variables"
  }

  assert {
    condition     = jsonencode(local.functions.api) == jsonencode({ name = "IMS-api", memory_mb = 1024, timeout_seconds = 12, reserved_concurrency = null })
    error_message = "a function has the given values, and the defaults of the others"
  }

  assert {
    condition     = !aws_dynamodb_table.product.deletion_protection_enabled && !aws_dynamodb_table.inventory.deletion_protection_enabled && !aws_dynamodb_table.processed_events.deletion_protection_enabled && !aws_dynamodb_table.outbox.deletion_protection_enabled
    error_message = "the tables can be deleted"
  }

  assert {
    condition     = one(aws_api_gateway_account.this).cloudwatch_role_arn == one(aws_iam_role.api_gateway_logs).arn
    error_message = "API Gateway gets its role for logs"
  }

  assert {
    condition     = alltrue([for alarm in concat(values(aws_cloudwatch_metric_alarm.plain), values(aws_cloudwatch_metric_alarm.computed)) : toset(alarm.alarm_actions) == toset([var.alarm_topic_arn, one(aws_sns_topic.alarms).arn])])
    error_message = "every alarm goes to both topics"
  }
}
