locals {
  # One row for each function that Chalice packs: the default memory (MB) and time-out (seconds), and the shortest
  # and longest time-out allowed in var.functions.
  function_defaults = {
    # API Gateway waits for 29 seconds. The API stops retrying half-way to its time-out, and responds with 503 one
    # second before it.
    api = { memory_mb = 1024, timeout_seconds = 15, timeout_limits = [1, 29] }

    # API Gateway waits for 29 seconds.
    authorizer = { memory_mb = 512, timeout_seconds = 10, timeout_limits = [1, 29] }

    # The consumer stops retrying 10 seconds before its time-out, to report which messages failed. Lambda allows at
    # most 900 seconds.
    consumer = { memory_mb = 1024, timeout_seconds = 60, timeout_limits = [20, 900] }

    # The schedule calls the sweep each minute. Two sweeps at once repeat answers, so one ends before the next begins:
    # it starts nothing new in the last 10 seconds of its time-out, and the 10 seconds to the next call allow for calls
    # that come early or late. Only a reserved concurrency of 1 rules overlaps out, and small accounts cannot spare it.
    sweep = { memory_mb = 512, timeout_seconds = 50, timeout_limits = [20, 50] }
  }

  functions = {
    for key, row in local.function_defaults : key => {
      name                 = "${var.name_prefix}-${key}"
      memory_mb            = coalesce(try(var.functions[key].memory_mb, null), row.memory_mb)
      timeout_seconds      = coalesce(try(var.functions[key].timeout_seconds, null), row.timeout_seconds)
      reserved_concurrency = try(var.functions[key].reserved_concurrency, null)
    }
  }

  # By these names, the functions also wait for the tables and the index.
  stock_environment = merge(
    {
      PRODUCT_TABLE_NAME          = aws_dynamodb_table.product.name
      INVENTORY_TABLE_NAME        = aws_dynamodb_table.inventory.name
      PROCESSED_EVENTS_TABLE_NAME = aws_dynamodb_table.processed_events.name
      OUTBOX_TABLE_NAME           = aws_dynamodb_table.outbox.name
      RECORD_TTL_DAYS             = var.record_ttl_days
    },
    var.fulfill_after_days == null ? {} : { FULFILL_AFTER_DAYS = var.fulfill_after_days },
  )

  answer_environment = merge(local.stock_environment, { OMS_EVENTS_QUEUE_URL = local.oms_events_queue.url })

  # The environment variables of every function.
  shared_environment = {
    POWERTOOLS_SERVICE_NAME = local.service

    # Nothing else limits the look-up of a name, which takes 5 seconds a try by default.
    # Source: https://man7.org/linux/man-pages/man5/resolv.conf.5.html
    RES_OPTIONS = "timeout:1 attempts:2"
  }

  # One row for each function that reads environment variables of its own.
  environments = {
    api = local.stock_environment

    authorizer = {
      AUTH_ISSUER       = var.auth.issuer
      AUTH_AUDIENCE     = var.auth.audience
      AUTH_JWKS_URL     = var.auth.jwks_url
      AUTH_SCOPE_PREFIX = var.auth.scope_prefix
    }

    consumer = local.answer_environment
    sweep    = local.answer_environment
  }
}

resource "aws_cloudwatch_log_group" "function" {
  for_each = local.functions

  name              = "/aws/lambda/${each.value.name}"
  retention_in_days = var.log_retention_days
}

# The functions and the API that Chalice packed.
module "chalice" {
  source = "./chalice"

  functions = {
    # The loop over the policies makes each function wait for its permissions.
    for key, policy in aws_iam_role_policy.function : key => merge(local.functions[key], {
      role_arn    = aws_iam_role.function[key].arn
      log_group   = aws_cloudwatch_log_group.function[key].name
      environment = merge(local.shared_environment, try(local.environments[key], {}))
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
