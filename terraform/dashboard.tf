# One page for the engineer on call. The top shows whether orders are settled and answered, the rows below show why.
# Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html

locals {
  service  = lower(var.name_prefix)
  queue    = aws_sqs_queue.inventory.name
  api_name = "${var.name_prefix}-api"

  # The widgets of a row share its width of 24. The metrics are in CloudWatch's format.
  dashboard_rows = concat(
    [
      {
        height = 4
        widgets = [
          {
            title = "Oldest order that is not settled (s)", view = "singleValue", period = 60
            metrics = [
              ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", local.queue, { stat = "Maximum", label = "oldest" }],
            ]
          },
          {
            title = "Orders waiting and in flight", view = "singleValue", period = 60
            metrics = [
              ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", local.queue, { stat = "Maximum", label = "waiting" }],
              ["AWS/SQS", "ApproximateNumberOfMessagesNotVisible", "QueueName", local.queue, { stat = "Maximum", label = "in flight" }],
            ]
          },
          {
            title = "Dead letters", view = "singleValue", period = 60
            metrics = [
              ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", aws_sqs_queue.dlq.name, { stat = "Maximum", label = "dead letters", color = "#d62728" }],
            ]
          },
          {
            title = "Time to answer, if sent at once (ms)", view = "singleValue", period = 300
            metrics = [
              ["IMS", "TimeToAnswer", "service", local.service, { stat = "p50", label = "p50" }],
              ["IMS", "TimeToAnswer", "service", local.service, { stat = "p99", label = "p99" }],
            ]
          },
        ]
      },
      {
        height = 6
        widgets = [
          {
            title = "Orders received and settled (per minute)", view = "timeSeries", period = 60
            metrics = [
              ["AWS/SQS", "NumberOfMessagesSent", "QueueName", local.queue, { stat = "Sum", label = "received" }],
              ["AWS/SQS", "NumberOfMessagesDeleted", "QueueName", local.queue, { stat = "Sum", label = "settled" }],
              ["IMS", "MessagesFailed", "service", local.service, { stat = "Sum", label = "to be redelivered", color = "#d62728" }],
            ]
          },
          {
            title = "Results of the orders (per minute)", view = "timeSeries", period = 60
            metrics = [
              ["IMS", "OrdersReserved", "service", local.service, { stat = "Sum", label = "reserved" }],
              ["IMS", "OrdersReleased", "service", local.service, { stat = "Sum", label = "released" }],
              ["IMS", "Duplicates", "service", local.service, { stat = "Sum", label = "duplicates" }],
              ["IMS", "PoisonMessages", "service", local.service, { stat = "Sum", label = "poison", color = "#d62728" }],
              [{ expression = "SEARCH('{IMS,reason,service} MetricName=\"OrdersRejected\" service=\"${local.service}\"', 'Sum', 60)", id = "rejected", label = "rejected:" }],
            ]
          },
          {
            title = "Batches: size, groups, retries", view = "timeSeries", period = 60
            metrics = [
              ["IMS", "BatchSize", "service", local.service, { stat = "Average", label = "messages per batch" }],
              ["IMS", "GroupSize", "service", local.service, { stat = "Average", label = "orders per transaction" }],
              ["IMS", "Retries", "service", local.service, { stat = "Sum", label = "retries", color = "#ff7f0e" }],
            ]
          },
        ]
      },
      {
        height = 6
        widgets = [
          {
            title = "Outbox: age of the oldest answer (s)", view = "timeSeries", period = 60
            metrics = [
              ["IMS", "OutboxAge", "service", local.service, { stat = "Maximum", label = "oldest" }],
            ]
          },
          {
            title = "Outbox: answers owed", view = "timeSeries", period = 60
            metrics = [
              ["IMS", "AnswersOwed", "service", local.service, { stat = "Maximum", label = "owed" }],
              ["IMS", "AnswersLost", "service", local.service, { stat = "Maximum", label = "on no record", color = "#d62728" }],
            ]
          },
          {
            title = "Outbox: answers not sent at once, and swept (per minute)", view = "timeSeries", period = 60
            metrics = [
              ["IMS", "AnswersDelayed", "service", local.service, { stat = "Sum", label = "not sent", color = "#ff7f0e" }],
              ["IMS", "AnswersSwept", "service", local.service, { stat = "Sum", label = "sent by the sweep" }],
            ]
          },
        ]
      },
      {
        height = 6
        widgets = [
          {
            title = "Holds: how late the oldest end is (s)", view = "timeSeries", period = 60
            metrics = [
              ["IMS", "HoldsOverdue", "service", local.service, { stat = "Maximum", label = "late" }],
            ]
          },
          {
            title = "Holds ended, and old orders closed, by the sweep (per minute)", view = "timeSeries", period = 60
            metrics = [
              ["IMS", "HoldsExpired", "service", local.service, { stat = "Sum", label = "holds ended" }],
              ["IMS", "OrdersAged", "service", local.service, { stat = "Sum", label = "orders closed" }],
            ]
          },
          {
            title = "Index of holds: units and throttles (per minute)", view = "timeSeries", period = 60
            metrics = [
              for metric, look in {
                ConsumedWriteCapacityUnits = { label = "write units" }
                ConsumedReadCapacityUnits  = { label = "read units" }
                WriteThrottleEvents        = { label = "write throttles", color = "#d62728" }
                ReadThrottleEvents         = { label = "read throttles", color = "#ff7f0e" }
              } :
              ["AWS/DynamoDB", metric, "TableName", aws_dynamodb_table.processed_events.name, "GlobalSecondaryIndexName", local.holds_index, merge({ stat = "Sum" }, look)]
            ]
          },
        ]
      },
      {
        height = 6
        widgets = [
          {
            title = "API: requests (per minute)", view = "timeSeries", period = 60
            metrics = [
              ["AWS/ApiGateway", "Count", "ApiName", local.api_name, "Stage", var.api_stage_name, { stat = "Sum", label = "requests" }],
              ["AWS/ApiGateway", "4XXError", "ApiName", local.api_name, "Stage", var.api_stage_name, { stat = "Sum", label = "4XX", color = "#ff7f0e" }],
              ["AWS/ApiGateway", "5XXError", "ApiName", local.api_name, "Stage", var.api_stage_name, { stat = "Sum", label = "5XX", color = "#d62728" }],
            ]
          },
          {
            title = "API: latency (ms)", view = "timeSeries", period = 60
            metrics = [
              ["AWS/ApiGateway", "Latency", "ApiName", local.api_name, "Stage", var.api_stage_name, { stat = "p50", label = "p50" }],
              ["AWS/ApiGateway", "Latency", "ApiName", local.api_name, "Stage", var.api_stage_name, { stat = "p99", label = "p99" }],
            ]
          },
        ]
      },
    ],
    [
      for key, function in local.functions : {
        height = 6
        widgets = [
          {
            title = "Function ${key}: duration (ms)", view = "timeSeries", period = 60
            metrics = [
              ["AWS/Lambda", "Duration", "FunctionName", function.name, { stat = "p50", label = "p50" }],
              ["AWS/Lambda", "Duration", "FunctionName", function.name, { stat = "p99", label = "p99" }],
            ]
          },
          {
            title = "Function ${key}: errors, throttles, concurrency", view = "timeSeries", period = 60
            metrics = [
              ["AWS/Lambda", "Errors", "FunctionName", function.name, { stat = "Sum", label = "errors", color = "#d62728" }],
              ["AWS/Lambda", "Throttles", "FunctionName", function.name, { stat = "Sum", label = "throttles", color = "#ff7f0e" }],
              ["AWS/Lambda", "ConcurrentExecutions", "FunctionName", function.name, { stat = "Maximum", label = "concurrency" }],
            ]
          },
        ]
      }
    ],
    [
      {
        height = 6
        widgets = [
          {
            title = "Tables: write units (per minute)", view = "timeSeries", period = 60
            metrics = [
              for key, name in local.tables :
              ["AWS/DynamoDB", "ConsumedWriteCapacityUnits", "TableName", name, { stat = "Sum", label = key }]
            ]
          },
          {
            title = "Tables: read units (per minute)", view = "timeSeries", period = 60
            metrics = [
              for key, name in local.tables :
              ["AWS/DynamoDB", "ConsumedReadCapacityUnits", "TableName", name, { stat = "Sum", label = key }]
            ]
          },
          {
            title = "Tables: throttles, transaction conflicts", view = "timeSeries", period = 60
            metrics = [
              for pair in setproduct(keys(local.tables), ["ReadThrottleEvents", "WriteThrottleEvents", "TransactionConflict"]) :
              ["AWS/DynamoDB", pair[1], "TableName", local.tables[pair[0]], { stat = "Sum", label = "${pair[0]} ${pair[1]}" }]
            ]
          },
        ]
      },
    ],
  )

  # The alarms are at the top, the rows below.
  alarms_height = 4
  dashboard_widgets = concat(
    [{
      type = "alarm", x = 0, y = 0, width = 24, height = local.alarms_height
      properties = {
        title  = "${var.name_prefix}: alarms"
        alarms = concat(values(aws_cloudwatch_metric_alarm.plain)[*].arn, values(aws_cloudwatch_metric_alarm.computed)[*].arn)
      }
    }],
    flatten([
      for number, row in local.dashboard_rows : [
        for place, widget in row.widgets : {
          type   = "metric"
          x      = place * 24 / length(row.widgets)
          y      = local.alarms_height + sum(concat([0], slice(local.dashboard_rows, 0, number)[*].height))
          width  = 24 / length(row.widgets)
          height = row.height
          properties = {
            title   = widget.title
            view    = widget.view
            region  = var.region
            period  = widget.period
            metrics = widget.metrics
          }
        }
      ]
    ]),
  )
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name_prefix
  dashboard_body = jsonencode({ widgets = local.dashboard_widgets })
}
