locals {
  functions = {
    for key, settings in var.functions : key => merge(settings, { name = "${var.name_prefix}-${key}" })
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
      role_arn  = aws_iam_role.function[key].arn
      log_group = aws_cloudwatch_log_group.function[key].name
    })
  }

  tables = {
    product          = aws_dynamodb_table.product.name
    inventory        = aws_dynamodb_table.inventory.name
    processed_events = aws_dynamodb_table.processed_events.name
  }

  consumer = {
    queue_arn            = aws_sqs_queue.inventory.arn
    batch_size           = var.batch_size
    batch_window_seconds = var.batch_window_seconds
    maximum_concurrency  = var.maximum_concurrency
    oms_events_queue_url = local.oms_events_queue.url
  }

  api = {
    name              = "${var.name_prefix}-api"
    gateway_responses = local.gateway_responses
  }

  auth            = var.auth
  log_level       = var.log_level
  record_ttl_days = var.record_ttl_days
  service_name    = lower(var.name_prefix)
}
