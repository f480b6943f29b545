locals {
  queue_retention_seconds = var.queue_retention_days * 86400
  dlq_retention_seconds   = 14 * 86400 # the longest that SQS allows

  # https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
  least_visibility_seconds = 6 * local.functions.consumer.timeout_seconds + var.batch_window_seconds
  visibility_seconds       = coalesce(var.visibility_timeout_seconds, local.least_visibility_seconds)
}

resource "aws_sqs_queue" "inventory" {
  name                       = "${var.name_prefix}-InventoryQueue"
  message_retention_seconds  = local.queue_retention_seconds
  visibility_timeout_seconds = local.visibility_seconds
  max_message_size           = 1048576
  receive_wait_time_seconds  = 20
  sqs_managed_sse_enabled    = true

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dlq.arn
    maxReceiveCount     = var.max_receive_count
  })

  # Nobody may use the inventory queue as a dead-letter queue.
  redrive_allow_policy = jsonencode({ redrivePermission = "denyAll" })

  lifecycle {
    precondition {
      condition     = local.visibility_seconds >= local.least_visibility_seconds
      error_message = "visibility_timeout_seconds must be at least 6 times the consumer's time-out plus the batch window, which is ${local.least_visibility_seconds}."
    }
  }
}

resource "aws_sqs_queue" "dlq" {
  name                      = "${var.name_prefix}-InventoryDLQ"
  message_retention_seconds = local.dlq_retention_seconds
  max_message_size          = 1048576
  sqs_managed_sse_enabled   = true
}

resource "aws_sqs_queue_redrive_allow_policy" "dlq" {
  queue_url = aws_sqs_queue.dlq.id

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.inventory.arn]
  })
}

resource "aws_sqs_queue_policy" "inventory" {
  queue_url = aws_sqs_queue.inventory.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sqs:*"
        Resource  = aws_sqs_queue.inventory.arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      }],
      # SQS refuses a statement without principals, so it is left out if there are none.
      [for senders in [var.oms_sender_arns] : {
        Sid       = "OmsSends"
        Effect    = "Allow"
        Principal = { AWS = senders }
        Action    = "sqs:SendMessage"
        Resource  = aws_sqs_queue.inventory.arn
      } if length(senders) > 0],
      # https://docs.aws.amazon.com/sns/latest/dg/subscribe-sqs-queue-to-sns-topic.html
      # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
      [for service, sources in {
        sns    = [for arn in var.oms_source_arns : arn if split(":", arn)[2] == "sns"]
        events = [for arn in var.oms_source_arns : arn if split(":", arn)[2] == "events"]
        } : {
        Sid       = "${title(service)}Delivers"
        Effect    = "Allow"
        Principal = { Service = "${service}.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = aws_sqs_queue.inventory.arn
        Condition = { ArnEquals = { "aws:SourceArn" = sources } }
      } if length(sources) > 0],
    )
  })
}

resource "aws_sqs_queue_policy" "dlq" {
  queue_url = aws_sqs_queue.dlq.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "TlsOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "sqs:*"
      Resource  = aws_sqs_queue.dlq.arn
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })
}

# The OMS owns the queue of the answers. It is looked up, never created.
data "aws_sqs_queue" "oms_events" {
  count = var.oms_events_queue.name == null ? 0 : 1

  name = var.oms_events_queue.name
}

locals {
  oms_events_queue = {
    arn = var.oms_events_queue.name == null ? var.oms_events_queue.arn : one(data.aws_sqs_queue.oms_events).arn
    url = var.oms_events_queue.name == null ? var.oms_events_queue.url : one(data.aws_sqs_queue.oms_events).url
  }
}
