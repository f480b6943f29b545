# docs/runbook.md explains each alarm, and what to do, under the alarm's name.

resource "aws_sns_topic" "alarms" {
  count = length(var.alarm_emails) > 0 ? 1 : 0

  name = "${var.name_prefix}-alarms"
}

resource "aws_sns_topic_subscription" "alarms" {
  for_each = var.alarm_emails

  topic_arn = one(aws_sns_topic.alarms).arn
  protocol  = "email"
  endpoint  = each.value
}

locals {
  alarm_actions = concat(compact([var.alarm_topic_arn]), aws_sns_topic.alarms[*].arn)

  # A sweep that fails is made good by the next one, a minute later. So a single one wakes nobody.
  errors_in_5_minutes = { sweep = 3 }

  # Alarms on one metric. The default is the sum over one period of 5 minutes; missing data raises no alarm.
  plain_alarms = merge(
    {
      dlq-not-empty = {
        description = "A message could not be settled: its order has no answer."
        namespace   = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", statistic = "Maximum"
        dimensions  = { QueueName = aws_sqs_queue.dlq.name }
        threshold   = 1, period = 60
      }
      dlq-expiring = {
        description = "SQS will soon delete messages in the dead-letter queue."
        namespace   = "AWS/SQS", metric = "ApproximateAgeOfOldestMessage", statistic = "Maximum"
        dimensions  = { QueueName = aws_sqs_queue.dlq.name }
        # SQS counts the retention of a dead letter from its first send, but this metric from its arrival in the
        # dead-letter queue. At the threshold, at least as much time is left as has passed since the arrival.
        threshold = (local.dlq_retention_seconds - local.queue_retention_seconds) / 2
      }
      oldest-message = {
        description = "The oldest order has waited too long to be settled."
        namespace   = "AWS/SQS", metric = "ApproximateAgeOfOldestMessage", statistic = "Maximum"
        dimensions  = { QueueName = aws_sqs_queue.inventory.name }
        threshold   = var.alarm_thresholds.oldest_message_seconds, period = 60, periods = 3
      }
      outbox-age = {
        description = "An answer has been owed to the OMS for too long, or nobody sweeps the outbox."
        namespace   = "IMS", metric = "OutboxAge", statistic = "Maximum"
        dimensions  = { service = local.service }
        threshold   = var.alarm_thresholds.outbox_age_seconds
        # Each sweep reports the age, 0 included. Without it, nobody knows what is owed. The period covers several
        # sweeps, since a minute may have none.
        missing = "breaching"
      }
      holds-overdue = {
        description = "A hold should have ended long ago, and its stock is still reserved; or nobody looks for such holds."
        namespace   = "IMS", metric = "HoldsOverdue", statistic = "Maximum"
        dimensions  = { service = local.service }
        threshold   = var.alarm_thresholds.holds_overdue_seconds
        # Each sweep that can read the index reports how late the oldest hold is, 0 included.
        missing = "breaching"
      }
      answers-lost = {
        description = "The outbox owes answers that are on no record, so the sweep cannot send them."
        namespace   = "IMS", metric = "AnswersLost"
        dimensions  = { service = local.service }
        threshold   = 1
      }
      api-5xx = {
        description = "API requests fail on our side."
        namespace   = "AWS/ApiGateway", metric = "5XXError"
        dimensions  = { ApiName = "${var.name_prefix}-api", Stage = var.api_stage_name }
        threshold   = var.alarm_thresholds.api_5xx
      }
      api-latency = {
        description = "One API request in a hundred takes too long."
        namespace   = "AWS/ApiGateway", metric = "Latency", percentile = "p99"
        dimensions  = { ApiName = "${var.name_prefix}-api", Stage = var.api_stage_name }
        threshold   = var.alarm_thresholds.api_p99_ms, periods = 3
      }
    },
    {
      for key, function in local.functions : "${key}-errors" => {
        description = "The function ${function.name} fails or times out."
        namespace   = "AWS/Lambda", metric = "Errors"
        dimensions  = { FunctionName = function.name }
        threshold   = lookup(local.errors_in_5_minutes, key, 1)
      }
    },
    {
      for key, function in local.functions : "${key}-throttles" => {
        description = "Lambda refuses to run the function ${function.name}, since the concurrency is used up."
        namespace   = "AWS/Lambda", metric = "Throttles"
        dimensions  = { FunctionName = function.name }
        threshold   = 1
      }
    },
  )

  # Alarms on an expression over several metrics: m1, m2 and so on.
  table_operations = ["BatchGetItem", "DeleteItem", "GetItem", "PutItem", "Query", "Scan", "TransactWriteItems", "UpdateItem"]
  tables = {
    product          = aws_dynamodb_table.product.name
    inventory        = aws_dynamodb_table.inventory.name
    processed_events = aws_dynamodb_table.processed_events.name
    outbox           = aws_dynamodb_table.outbox.name
  }
  indexes = { processed_events = [local.holds_index] }

  # A throttled index makes DynamoDB refuse writes to its table, and only the index's own metrics count that.
  # Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/gsi-throttling.html
  throttle_metrics = {
    for key, name in local.tables : key => flatten([
      for dimensions in concat(
        [{ TableName = name }],
        [for index in lookup(local.indexes, key, []) : { TableName = name, GlobalSecondaryIndexName = index }],
        ) : [
        for metric in ["ReadThrottleEvents", "WriteThrottleEvents"] :
        { namespace = "AWS/DynamoDB", metric = metric, statistic = "Sum", dimensions = dimensions }
      ]
    ])
  }

  computed_alarms = merge(
    {
      # This uses the queue's own counters, since a dead consumer reports no metrics. An order that is settled leaves
      # the queue; whether its answer is sent is for outbox-age to say.
      answers-overdue = {
        description = "Orders are waiting, but none has been settled for ${var.alarm_thresholds.silent_minutes} minutes."
        expression  = "IF(FILL(m1, 0) + FILL(m2, 0) > 0 AND FILL(m3, 0) == 0, 1, 0)"
        threshold   = 1, period = 60, periods = var.alarm_thresholds.silent_minutes
        metrics = [
          { namespace = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", statistic = "Maximum", dimensions = { QueueName = aws_sqs_queue.inventory.name } },
          { namespace = "AWS/SQS", metric = "ApproximateNumberOfMessagesNotVisible", statistic = "Maximum", dimensions = { QueueName = aws_sqs_queue.inventory.name } },
          { namespace = "AWS/SQS", metric = "NumberOfMessagesDeleted", statistic = "Sum", dimensions = { QueueName = aws_sqs_queue.inventory.name } },
        ]
      }
    },
    {
      for key, name in local.tables : "${replace(key, "_", "-")}-table-throttles" => {
        description = "DynamoDB throttles the table ${name}."
        expression  = join(" + ", [for number in range(length(local.throttle_metrics[key])) : "FILL(m${number + 1}, 0)"])
        threshold   = var.alarm_thresholds.table_throttles, period = 300, periods = 1
        metrics     = local.throttle_metrics[key]
      }
    },
    {
      for key, name in local.tables : "${replace(key, "_", "-")}-table-errors" => {
        description = "Requests to the table ${name} fail with internal errors of DynamoDB."
        expression  = join(" + ", [for number in range(length(local.table_operations)) : "FILL(m${number + 1}, 0)"])
        threshold   = 1, period = 300, periods = 1
        metrics = [
          for operation in local.table_operations :
          { namespace = "AWS/DynamoDB", metric = "SystemErrors", statistic = "Sum", dimensions = { TableName = name, Operation = operation } }
        ]
      }
    },
  )
}

resource "aws_cloudwatch_metric_alarm" "plain" {
  for_each = local.plain_alarms

  alarm_name          = "${var.name_prefix}-${each.key}"
  alarm_description   = "${each.value.description} See docs/runbook.md#${each.key}"
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = each.value.threshold
  evaluation_periods  = try(each.value.periods, 1)
  treat_missing_data  = try(each.value.missing, "notBreaching")
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions

  namespace          = each.value.namespace
  metric_name        = each.value.metric
  dimensions         = each.value.dimensions
  period             = try(each.value.period, 300)
  statistic          = try(each.value.percentile, null) == null ? try(each.value.statistic, "Sum") : null
  extended_statistic = try(each.value.percentile, null)

  # With few requests, p99 is the slowest one, which is no reason for an alarm.
  evaluate_low_sample_count_percentiles = try(each.value.percentile, null) == null ? null : "ignore"
}

resource "aws_cloudwatch_metric_alarm" "computed" {
  for_each = local.computed_alarms

  alarm_name          = "${var.name_prefix}-${each.key}"
  alarm_description   = "${each.value.description} See docs/runbook.md#${each.key}"
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = each.value.threshold
  evaluation_periods  = each.value.periods
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions

  metric_query {
    id          = "alarm"
    expression  = each.value.expression
    label       = each.key
    return_data = true
  }

  dynamic "metric_query" {
    for_each = each.value.metrics

    content {
      id = "m${metric_query.key + 1}"

      metric {
        namespace   = metric_query.value.namespace
        metric_name = metric_query.value.metric
        dimensions  = metric_query.value.dimensions
        stat        = metric_query.value.statistic
        period      = each.value.period
      }
    }
  }
}
