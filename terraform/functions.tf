locals {
  # A row for each function that Chalice packs: its memory (MB) and time-out (seconds) where var.functions has
  # none, and the least and the longest time-out that it may have.
  function_defaults = {
    # API Gateway waits for 29 seconds. The API stops retrying 10 seconds before its limit, so that every route
    # answers 503 within the function's time: below 12 seconds nothing would be left to retry in.
    api = { memory_mb = 1024, timeout_seconds = 15, timeout_limits = [12, 29] }

    # API Gateway waits for 29 seconds.
    authorizer = { memory_mb = 512, timeout_seconds = 10, timeout_limits = [1, 29] }

    # The consumer stops retrying 10 seconds before its limit, to answer which messages failed. Lambda's longest
    # time-out is 900 seconds.
    consumer = { memory_mb = 1024, timeout_seconds = 60, timeout_limits = [20, 900] }
  }

  functions = {
    for key, row in local.function_defaults : key => {
      name                 = "${var.name_prefix}-${key}"
      memory_mb            = coalesce(try(var.functions[key].memory_mb, null), row.memory_mb)
      timeout_seconds      = coalesce(try(var.functions[key].timeout_seconds, null), row.timeout_seconds)
      reserved_concurrency = try(var.functions[key].reserved_concurrency, null)
    }
  }

  stock_environment = {
    PRODUCT_TABLE_NAME          = aws_dynamodb_table.product.name
    INVENTORY_TABLE_NAME        = aws_dynamodb_table.inventory.name
    PROCESSED_EVENTS_TABLE_NAME = aws_dynamodb_table.processed_events.name
    RECORD_TTL_DAYS             = var.record_ttl_days
  }

  # A row for each function that reads variables of its own.
  environments = {
    api = local.stock_environment

    authorizer = {
      AUTH_ISSUER   = var.auth.issuer
      AUTH_AUDIENCE = var.auth.audience
      AUTH_JWKS_URL = var.auth.jwks_url
    }

    consumer = merge(local.stock_environment, { OMS_EVENTS_QUEUE_URL = local.oms_events_queue.url })
  }
}

resource "aws_cloudwatch_log_group" "function" {
  for_each = local.functions

  name              = "/aws/lambda/${each.value.name}"
  retention_in_days = var.log_retention_days
}

# What Chalice packed, with what it cannot say merged in.
module "chalice" {
  source = "./chalice"

  functions = {
    # By way of the policy, so that no function runs before it may do its work.
    for key, policy in aws_iam_role_policy.function : key => merge(local.functions[key], {
      role_arn    = aws_iam_role.function[key].arn
      log_group   = aws_cloudwatch_log_group.function[key].name
      environment = merge({ POWERTOOLS_SERVICE_NAME = local.service }, try(local.environments[key], {}))
    })
  }

  consumer = {
    queue_arn            = aws_sqs_queue.inventory.arn
    batch_size           = var.batch_size
    batch_window_seconds = var.batch_window_seconds
    maximum_concurrency  = var.maximum_concurrency
  }

  api = {
    name              = "${var.name_prefix}-api"
    gateway_responses = local.gateway_responses
  }

  log_level = var.log_level
}
