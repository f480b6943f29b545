# Values that AWS would generate, in the format that the provider requires.

mock_resource "aws_api_gateway_rest_api" {
  defaults = {
    id            = "abc123defg"
    execution_arn = "arn:aws:execute-api:eu-central-1:111111111111:abc123defg"
  }
}

mock_resource "aws_api_gateway_stage" {
  defaults = {
    arn        = "arn:aws:apigateway:eu-central-1::/restapis/abc123defg/stages/v1"
    invoke_url = "https://abc123defg.execute-api.eu-central-1.amazonaws.com/v1"
  }
}

mock_resource "aws_cloudwatch_log_group" {
  defaults = {
    arn = "arn:aws:logs:eu-central-1:111111111111:log-group:mock"
  }
}

mock_resource "aws_cloudwatch_metric_alarm" {
  defaults = {
    arn = "arn:aws:cloudwatch:eu-central-1:111111111111:alarm:mock"
  }
}

mock_resource "aws_iam_role" {
  defaults = {
    arn = "arn:aws:iam::111111111111:role/mock"
  }
}

mock_resource "aws_lambda_function" {
  defaults = {
    arn        = "arn:aws:lambda:eu-central-1:111111111111:function:mock"
    invoke_arn = "arn:aws:apigateway:eu-central-1:lambda:path/2015-03-31/functions/arn:aws:lambda:eu-central-1:111111111111:function:mock/invocations"
  }
}

mock_resource "aws_sns_topic" {
  defaults = {
    arn               = "arn:aws:sns:eu-central-1:111111111111:mock"
    kms_master_key_id = "" # none, as on AWS; the mock would otherwise generate one
  }
}

mock_data "aws_caller_identity" {
  defaults = {
    account_id = "111111111111"
  }
}

mock_data "aws_sqs_queue" {
  defaults = {
    arn = "arn:aws:sqs:eu-central-1:111111111111:OMS-OrderEventsQueue"
    url = "https://sqs.eu-central-1.amazonaws.com/111111111111/OMS-OrderEventsQueue"
  }
}

# The tables and queues have different ARNs, so that the tests can tell them apart in policies.

override_resource {
  target = aws_dynamodb_table.product
  values = {
    arn = "arn:aws:dynamodb:eu-central-1:111111111111:table/IMS-ProductTable"
  }
}

override_resource {
  target = aws_dynamodb_table.inventory
  values = {
    arn = "arn:aws:dynamodb:eu-central-1:111111111111:table/IMS-InventoryTable"
  }
}

override_resource {
  target = aws_dynamodb_table.processed_events
  values = {
    arn = "arn:aws:dynamodb:eu-central-1:111111111111:table/IMS-ProcessedEventsTable"
  }
}

override_resource {
  target = aws_dynamodb_table.outbox
  values = {
    arn = "arn:aws:dynamodb:eu-central-1:111111111111:table/IMS-OutboxTable"
  }
}

override_resource {
  target = aws_sqs_queue.inventory
  values = {
    arn = "arn:aws:sqs:eu-central-1:111111111111:IMS-InventoryQueue"
    id  = "https://sqs.eu-central-1.amazonaws.com/111111111111/IMS-InventoryQueue"
    url = "https://sqs.eu-central-1.amazonaws.com/111111111111/IMS-InventoryQueue"
  }
}

override_resource {
  target = aws_sqs_queue.dlq
  values = {
    arn = "arn:aws:sqs:eu-central-1:111111111111:IMS-InventoryDLQ"
    id  = "https://sqs.eu-central-1.amazonaws.com/111111111111/IMS-InventoryDLQ"
    url = "https://sqs.eu-central-1.amazonaws.com/111111111111/IMS-InventoryDLQ"
  }
}
