# A stage with the defaults.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  region           = "eu-central-1"
  name_prefix      = "IMS"
  oms_events_queue = { name = "OMS-OrderEventsQueue" }
  auth             = { issuer = "https://login.example.com", audience = "ims" }
}

run "tables" {
  assert {
    condition     = alltrue([for table in [aws_dynamodb_table.product, aws_dynamodb_table.inventory, aws_dynamodb_table.processed_events, aws_dynamodb_table.outbox] : one(table.server_side_encryption).enabled])
    error_message = "every table is encrypted with the AWS managed key"
  }

  assert {
    condition     = alltrue([for table in [aws_dynamodb_table.product, aws_dynamodb_table.inventory, aws_dynamodb_table.processed_events, aws_dynamodb_table.outbox] : one(table.point_in_time_recovery).enabled && table.deletion_protection_enabled && table.billing_mode == "PAY_PER_REQUEST"])
    error_message = "every table can be restored, is protected and is billed on demand"
  }

  assert {
    condition     = alltrue([for table in [aws_dynamodb_table.product, aws_dynamodb_table.inventory, aws_dynamodb_table.processed_events, aws_dynamodb_table.outbox] : toset(table.attribute[*].name) == toset(concat([table.hash_key], flatten([for index in table.global_secondary_index : [index.hash_key, index.range_key]])))])
    error_message = "every declared attribute is a key, of the table or of an index"
  }

  assert {
    condition     = aws_dynamodb_table.product.hash_key == "sku" && aws_dynamodb_table.inventory.hash_key == "sku" && aws_dynamodb_table.processed_events.hash_key == "order_id" && aws_dynamodb_table.outbox.hash_key == "id"
    error_message = "the tables have the keys of the contract"
  }

  assert {
    condition     = one(aws_dynamodb_table.processed_events.ttl).enabled && one(aws_dynamodb_table.processed_events.ttl).attribute_name == "ttl"
    error_message = "records expire at the time in their attribute ttl"
  }

  assert {
    condition = jsonencode([
      for index in aws_dynamodb_table.processed_events.global_secondary_index : [index.name, index.hash_key, index.range_key, index.projection_type, length(index.on_demand_throughput)]
    ]) == jsonencode([["holds", "hold_shard", "due_at", "KEYS_ONLY", 0]])
    error_message = "the sweep finds the records that are due in an index of keys, without a limit of its own"
  }

  assert {
    condition     = aws_dynamodb_table.processed_events.timeouts.update == "6h"
    error_message = "Terraform waits long enough for a new index on a large table"
  }
}

run "queues" {
  assert {
    condition     = aws_sqs_queue.inventory.sqs_managed_sse_enabled && aws_sqs_queue.dlq.sqs_managed_sse_enabled
    error_message = "both queues are encrypted"
  }

  assert {
    condition     = aws_sqs_queue.inventory.fifo_queue != true && aws_sqs_queue.inventory.name == "IMS-InventoryQueue"
    error_message = "the inventory queue is a Standard queue"
  }

  assert {
    condition     = jsondecode(aws_sqs_queue.inventory.redrive_policy) == { deadLetterTargetArn = aws_sqs_queue.dlq.arn, maxReceiveCount = 5 }
    error_message = "a message that cannot be settled goes to the dead-letter queue after 5 deliveries"
  }

  assert {
    condition     = jsondecode(aws_sqs_queue_redrive_allow_policy.dlq.redrive_allow_policy) == { redrivePermission = "byQueue", sourceQueueArns = [aws_sqs_queue.inventory.arn] }
    error_message = "only the inventory queue may use the dead-letter queue"
  }

  assert {
    condition     = jsondecode(aws_sqs_queue.inventory.redrive_allow_policy).redrivePermission == "denyAll"
    error_message = "no queue may use the inventory queue as its dead-letter queue"
  }

  assert {
    condition     = aws_sqs_queue.dlq.message_retention_seconds == 1209600
    error_message = "dead letters are kept for 14 days"
  }

  assert {
    condition     = aws_sqs_queue.inventory.visibility_timeout_seconds == 6 * 60 + 1
    error_message = "a message is hidden for 6 times the consumer's time-out plus the batch window"
  }

  assert {
    condition     = aws_sqs_queue.inventory.max_message_size == 1048576 && aws_sqs_queue.dlq.max_message_size == 1048576
    error_message = "messages may be as large as SQS allows"
  }

  assert {
    condition = alltrue([
      for policy in [aws_sqs_queue_policy.inventory.policy, aws_sqs_queue_policy.dlq.policy] :
      anytrue([for statement in jsondecode(policy).Statement : statement.Effect == "Deny" && statement.Principal == "*" && statement.Action == "sqs:*" && statement.Condition == { Bool = { "aws:SecureTransport" = "false" } }])
    ])
    error_message = "both queues refuse requests without TLS"
  }

  assert {
    condition     = alltrue([for statement in jsondecode(aws_sqs_queue_policy.inventory.policy).Statement : statement.Effect == "Deny"])
    error_message = "without oms_sender_arns, the queue's policy allows nothing"
  }

  assert {
    condition     = length(data.aws_sqs_queue.oms_events) == 1 && output.environment.OMS_EVENTS_QUEUE_URL == one(data.aws_sqs_queue.oms_events).url
    error_message = "the OMS's queue is looked up by its name"
  }
}

run "permissions" {
  assert {
    condition = alltrue(flatten([
      for policy in values(aws_iam_role_policy.function)[*].policy : [
        for statement in jsondecode(policy).Statement : [
          for action in statement.Action : !strcontains(action, "*")
        ]
      ]
    ]))
    error_message = "no policy allows an action by wildcard"
  }

  assert {
    condition = alltrue(flatten([
      for policy in values(aws_iam_role_policy.function)[*].policy : [
        for statement in jsondecode(policy).Statement : [
          for resource in statement.Resource :
          resource != "*" || alltrue([for action in statement.Action : startswith(action, "xray:Put")])
        ]
      ]
    ]))
    error_message = "only xray:Put* is allowed on every resource"
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(aws_iam_role_policy.function["api"].policy).Statement :
      !anytrue([for action in statement.Action : startswith(action, "sqs:")])
    ])
    error_message = "the API has no permission for queues"
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(aws_iam_role_policy.function["consumer"].policy).Statement :
      !contains(statement.Resource, aws_dynamodb_table.product.arn)
    ])
    error_message = "the consumer has no permission for products"
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(aws_iam_role_policy.function["sweep"].policy).Statement :
      length(setintersection(statement.Resource, [aws_dynamodb_table.product.arn, aws_sqs_queue.inventory.arn, aws_sqs_queue.dlq.arn])) == 0
    ])
    error_message = "the sweep has no permission for products and the orders' queues"
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(aws_iam_role_policy.function["api"].policy).Statement :
      statement.Action == ["dynamodb:PutItem"] if contains(statement.Resource, aws_dynamodb_table.outbox.arn)
    ])
    error_message = "the API may only fill the outbox"
  }

  assert {
    condition = jsonencode({
      for function, policy in aws_iam_role_policy.function : function => [
        for statement in jsondecode(policy.policy).Statement : [statement.Action, statement.Resource]
        if anytrue([for resource in statement.Resource : strcontains(resource, "/index/")])
      ]
      }) == jsonencode({
      api   = [], authorizer = [], consumer = [],
      sweep = [[["dynamodb:Query"], ["${aws_dynamodb_table.processed_events.arn}/index/holds"]]]
    })
    error_message = "only the sweep may read the index, and that one alone"
  }

  assert {
    condition     = toset(jsondecode(aws_iam_role_policy.function["authorizer"].policy).Statement[*].Sid) == toset(["Logs", "Traces"])
    error_message = "the authorizer has permissions for logs and traces only"
  }

  assert {
    condition     = length(toset(values(aws_iam_role.function)[*].name)) == length(local.functions) && alltrue([for role in values(aws_iam_role.function) : jsondecode(role.assume_role_policy).Statement[0].Principal == { Service = "lambda.amazonaws.com" }])
    error_message = "each function has its own role, which only Lambda can assume"
  }
}

run "functions" {
  assert {
    condition     = output.function_names == { for key in keys(local.functions) : key => "IMS-${key}" }
    error_message = "the functions' names start with the stage's prefix"
  }

  assert {
    condition     = can(regex("^[0-9]+\\.[0-9]+\\.[0-9]+$", output.version))
    error_message = "the output version is the application's version"
  }

  assert {
    condition     = alltrue([for group in concat(values(aws_cloudwatch_log_group.function), [aws_cloudwatch_log_group.api]) : group.retention_in_days == 30])
    error_message = "every log is kept for log_retention_days"
  }

  assert {
    condition     = !anytrue([for environment in values(local.environments) : contains(keys(environment), "FULFILL_AFTER_DAYS")])
    error_message = "by default, no function closes firm orders that are old"
  }

  assert {
    condition     = contains(module.chalice.event_source_mapping.response_types, "ReportBatchItemFailures")
    error_message = "the handler may report single messages of a batch as failed"
  }

  assert {
    condition     = module.chalice.event_source_mapping.event_source_arn == aws_sqs_queue.inventory.arn
    error_message = "the consumer reads the inventory queue"
  }

  assert {
    condition     = module.chalice.event_source_mapping.batch_size == 50 && module.chalice.event_source_mapping.batch_window == 1 && module.chalice.event_source_mapping.maximum_concurrency == 5
    error_message = "the mapping has the given batch size, window and concurrency"
  }
}

run "schedule" {
  assert {
    condition     = aws_scheduler_schedule.sweep.schedule_expression == "rate(1 minute)" && one(aws_scheduler_schedule.sweep.flexible_time_window).mode == "OFF"
    error_message = "the sweep runs every minute"
  }

  assert {
    condition     = one(aws_scheduler_schedule.sweep.target).arn == module.chalice.function_arns["sweep"] && one(aws_scheduler_schedule.sweep.target).role_arn == aws_iam_role.schedule.arn
    error_message = "the schedule calls the sweep, with its own role"
  }

  assert {
    condition     = one(one(aws_scheduler_schedule.sweep.target).retry_policy).maximum_retry_attempts == 0 && aws_lambda_function_event_invoke_config.sweep.function_name == "IMS-sweep" && aws_lambda_function_event_invoke_config.sweep.maximum_retry_attempts == 0
    error_message = "nobody repeats a failed sweep, since the next one comes in a minute"
  }

  assert {
    condition     = aws_lambda_function_event_invoke_config.sweep.maximum_event_age_in_seconds == 60
    error_message = "a call that Lambda throttles is dropped when the next one comes"
  }

  assert {
    condition     = local.functions.sweep.timeout_seconds <= 50 && local.function_defaults.sweep.timeout_limits[1] <= 50
    error_message = "a sweep ends before the next one begins"
  }

  assert {
    condition = jsonencode([
      for statement in jsondecode(aws_iam_role_policy.schedule.policy).Statement : [statement.Effect, statement.Action, statement.Resource]
    ]) == jsonencode([["Allow", ["lambda:InvokeFunction"], [module.chalice.function_arns["sweep"]]]])
    error_message = "the schedule's role may call the sweep and do nothing else"
  }

  assert {
    condition = jsonencode([
      for statement in jsondecode(aws_iam_role.schedule.assume_role_policy).Statement : [statement.Principal, statement.Condition]
    ]) == jsonencode([[{ Service = "scheduler.amazonaws.com" }, { StringEquals = { "aws:SourceAccount" = "111111111111" } }]])
    error_message = "only the scheduler of this account may use the schedule's role"
  }
}

run "api" {
  assert {
    condition     = aws_api_gateway_stage.api.xray_tracing_enabled && one(aws_api_gateway_method_settings.all.settings).throttling_rate_limit == 500
    error_message = "API Gateway's stage traces and throttles"
  }

  assert {
    condition     = !strcontains(lower(one(aws_api_gateway_stage.api.access_log_settings).format), "authorization") && !strcontains(one(aws_api_gateway_stage.api.access_log_settings).format, "$context.authorizer.claims")
    error_message = "the access log contains no tokens"
  }

  assert {
    condition     = can(jsondecode(one(aws_api_gateway_stage.api.access_log_settings).format))
    error_message = "the access log is JSON"
  }

  assert {
    condition     = !one(aws_api_gateway_method_settings.all.settings).data_trace_enabled && one(aws_api_gateway_method_settings.all.settings).logging_level == "OFF"
    error_message = "bodies and headers are not logged"
  }

  assert {
    condition     = length(aws_api_gateway_account.this) == 0
    error_message = "the account's settings are not changed by default"
  }
}

run "gateway_responses" {
  assert {
    condition = alltrue([
      for response in values(local.gateway_responses) :
      setunion(keys(jsondecode(response.responseTemplates["application/json"])), ["status"]) == toset(["type", "title", "status", "detail", "code", "request_id"])
    ])
    error_message = "every gateway response has the members of the application's problems"
  }

  assert {
    condition = alltrue([
      for type, response in local.gateway_responses :
      can(jsondecode(response.responseTemplates["application/json"]).status) == can(response.statusCode) && can(response.statusCode) == !startswith(type, "DEFAULT_")
    ])
    error_message = "the two defaults keep API Gateway's status, so they do not name one; all others do"
  }

  assert {
    condition = !anytrue([
      for type in ["DEFAULT_4XX", "DEFAULT_5XX"] :
      can(regex("[45][0-9][0-9]|Invalid", local.gateway_responses[type].responseTemplates["application/json"]))
    ])
    error_message = "the text of a default is true of any status"
  }

  assert {
    condition     = jsondecode(local.gateway_responses["THROTTLED"].responseTemplates["application/json"]).code == "TOO_MANY_REQUESTS"
    error_message = "API Gateway's throttling is another problem than DynamoDB's, which is THROTTLED"
  }

  assert {
    condition     = alltrue([for response in values(local.gateway_responses) : response.responseParameters["gatewayresponse.header.Content-Type"] == "'application/problem+json'"])
    error_message = "every gateway response has the content type of a problem"
  }

  assert {
    condition = alltrue([
      for type, response in local.gateway_responses :
      jsondecode(response.responseTemplates["application/json"]).status == tonumber(response.statusCode) if !startswith(type, "DEFAULT_")
    ])
    error_message = "the status in the body is the status of the response"
  }

  assert {
    condition = {
      for type in ["UNAUTHORIZED", "ACCESS_DENIED", "MISSING_AUTHENTICATION_TOKEN", "INVALID_SIGNATURE", "REQUEST_TOO_LARGE", "THROTTLED", "QUOTA_EXCEEDED", "AUTHORIZER_FAILURE", "INTEGRATION_TIMEOUT"] :
      type => local.gateway_responses[type].statusCode
      } == {
      UNAUTHORIZED = "401", ACCESS_DENIED = "403", MISSING_AUTHENTICATION_TOKEN = "404", INVALID_SIGNATURE = "404", REQUEST_TOO_LARGE = "413",
      THROTTLED    = "429", QUOTA_EXCEEDED = "429", AUTHORIZER_FAILURE = "500", INTEGRATION_TIMEOUT = "504"
    }
    error_message = "each gateway response has its status; unknown routes are 404"
  }

  assert {
    condition     = local.gateway_responses["UNAUTHORIZED"].responseParameters["gatewayresponse.header.WWW-Authenticate"] == "'Bearer'"
    error_message = "a 401 response names the scheme"
  }
}

run "operations" {
  assert {
    condition     = length(setsubtract([for pair in setproduct(keys(local.functions), ["errors", "throttles"]) : join("-", pair)], keys(aws_cloudwatch_metric_alarm.plain))) == 0
    error_message = "every function has its alarms"
  }

  assert {
    condition     = alltrue([for function in local.functions : strcontains(aws_cloudwatch_dashboard.this.dashboard_body, "\"AWS/Lambda\",\"Errors\",\"FunctionName\",\"${function.name}\"")])
    error_message = "every function is on the dashboard"
  }

  assert {
    condition     = alltrue([for metric in ["AnswersDelayed", "AnswersOwed", "OutboxAge", "AnswersSwept", "AnswersLost"] : strcontains(aws_cloudwatch_dashboard.this.dashboard_body, "\"IMS\",\"${metric}\",\"service\",\"ims\"")])
    error_message = "every metric of the outbox is on the dashboard"
  }

  assert {
    condition     = alltrue([for metric in ["HoldsExpired", "HoldsOverdue", "OrdersAged"] : strcontains(aws_cloudwatch_dashboard.this.dashboard_body, "\"IMS\",\"${metric}\",\"service\",\"ims\"")])
    error_message = "every metric of the holds is on the dashboard"
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.plain["holds-overdue"].metric_name == "HoldsOverdue" && aws_cloudwatch_metric_alarm.plain["holds-overdue"].statistic == "Maximum" && aws_cloudwatch_metric_alarm.plain["holds-overdue"].threshold == 600 && aws_cloudwatch_metric_alarm.plain["holds-overdue"].period == 300 && aws_cloudwatch_metric_alarm.plain["holds-overdue"].dimensions == tomap({ service = "ims" })
    error_message = "a hold that is 10 minutes late raises an alarm"
  }

  assert {
    condition = toset(flatten([
      for query in aws_cloudwatch_metric_alarm.computed["processed-events-table-throttles"].metric_query : [
        for metric in query.metric : "${metric.metric_name} ${lookup(metric.dimensions, "GlobalSecondaryIndexName", "table")}"
      ]
    ])) == toset(["ReadThrottleEvents table", "WriteThrottleEvents table", "ReadThrottleEvents holds", "WriteThrottleEvents holds"])
    error_message = "throttles of the index raise the alarm of its table, whose writes they refuse"
  }

  assert {
    condition = alltrue([
      for alarm in values(aws_cloudwatch_metric_alarm.computed) :
      length(alarm.metric_query) == 1 + length(distinct(regexall("m[0-9]+", one([for query in alarm.metric_query : query.expression if query.id == "alarm"]))))
    ])
    error_message = "the expression of an alarm uses each of its metrics"
  }

  assert {
    condition     = alltrue([for alarm in concat(values(aws_cloudwatch_metric_alarm.plain), values(aws_cloudwatch_metric_alarm.computed)) : length(alarm.alarm_actions) == 0])
    error_message = "without a topic, alarms notify nobody"
  }

  assert {
    condition     = { for alarm in concat(values(aws_cloudwatch_metric_alarm.plain), values(aws_cloudwatch_metric_alarm.computed)) : alarm.alarm_name => alarm.treat_missing_data if alarm.treat_missing_data != "notBreaching" } == { IMS-holds-overdue = "breaching", IMS-outbox-age = "breaching" }
    error_message = "missing data raises an alarm if nobody sweeps the outbox or looks for holds that are due, and no other"
  }

  assert {
    condition     = { for key in keys(local.functions) : key => aws_cloudwatch_metric_alarm.plain["${key}-errors"].threshold } == { api = 1, authorizer = 1, consumer = 1, sweep = 3 }
    error_message = "each error raises an alarm, but of the sweep only the third in 5 minutes"
  }

  assert {
    condition     = toset(flatten(aws_cloudwatch_metric_alarm.computed["answers-overdue"].metric_query[*].metric[*].namespace)) == toset(["AWS/SQS"])
    error_message = "the alarm on overdue answers uses the queue's metrics, which a dead consumer cannot stop"
  }

  assert {
    condition     = alltrue([for alarm in values(aws_cloudwatch_metric_alarm.computed) : length(alarm.metric_query) <= 10])
    error_message = "each alarm has at most 10 metrics, CloudWatch's limit"
  }

  assert {
    condition     = alltrue([for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : widget.x + widget.width <= 24])
    error_message = "no widget of the dashboard is outside its width of 24"
  }

  assert {
    condition     = length(distinct([for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : "${widget.x},${widget.y}"])) == length(jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets)
    error_message = "no two widgets of the dashboard have the same position"
  }
}
