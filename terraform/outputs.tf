output "api_url" {
  description = "Base URL of the API; routes such as /products follow it."
  value       = aws_api_gateway_stage.api.invoke_url
}

output "inventory_queue" {
  description = "URL and ARN of the inventory queue, to which the OMS sends its orders."
  value       = { url = aws_sqs_queue.inventory.id, arn = aws_sqs_queue.inventory.arn }
}

output "dlq" {
  description = "URL and ARN of the dead-letter queue, which gets the messages that could not be settled."
  value       = { url = aws_sqs_queue.dlq.id, arn = aws_sqs_queue.dlq.arn }
}

output "consumer_role_arn" {
  description = "ARN of the consumer's role, which sends the answers: an OMS queue in another account must allow it."
  value       = aws_iam_role.function["consumer"].arn
}

output "sweep_role_arn" {
  description = "ARN of the sweep's role, which sends the answers that the consumer could not: an OMS queue in another account must allow it, too."
  value       = aws_iam_role.function["sweep"].arn
}

output "table_names" {
  description = "Names of the tables: product, inventory, processed_events, outbox."
  value       = local.tables
}

output "version" {
  description = "Version of the application."
  value       = module.chalice.version
}

output "function_names" {
  description = "Names of the functions by their keys: api, authorizer, consumer and so on."
  value       = module.chalice.function_names
}

output "dashboard_url" {
  description = "URL of the dashboard in the AWS console."
  value       = "https://${var.region}.console.aws.amazon.com/cloudwatch/home?region=${var.region}#dashboards/dashboard/${aws_cloudwatch_dashboard.this.dashboard_name}"
}

output "environment" {
  description = "Environment variables of the stage for the e2e tests, for `make migrate` and for scripts; tokens come from the issuer."
  value = merge(
    {
      AWS_REGION                  = var.region
      AWS_DEFAULT_REGION          = var.region
      IMS_API_URL                 = aws_api_gateway_stage.api.invoke_url
      IMS_INVENTORY_QUEUE_URL     = aws_sqs_queue.inventory.id
      IMS_DLQ_URL                 = aws_sqs_queue.dlq.id
      OMS_EVENTS_QUEUE_URL        = local.oms_events_queue.url
      PRODUCT_TABLE_NAME          = aws_dynamodb_table.product.name
      INVENTORY_TABLE_NAME        = aws_dynamodb_table.inventory.name
      PROCESSED_EVENTS_TABLE_NAME = aws_dynamodb_table.processed_events.name
      OUTBOX_TABLE_NAME           = aws_dynamodb_table.outbox.name
      RECORD_TTL_DAYS             = tostring(var.record_ttl_days)
    },
    var.fulfill_after_days == null ? {} : { FULFILL_AFTER_DAYS = tostring(var.fulfill_after_days) },
  )
}
