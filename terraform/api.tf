resource "aws_cloudwatch_log_group" "api" {
  name              = "/aws/apigateway/${var.name_prefix}-api"
  retention_in_days = var.log_retention_days
}

resource "aws_api_gateway_stage" "api" {
  rest_api_id          = module.chalice.rest_api_id
  deployment_id        = module.chalice.deployment_id
  stage_name           = var.api_stage_name
  xray_tracing_enabled = true

  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.api.arn

    # The caller, the request, its result and its duration. Headers are left out because they contain tokens, the
    # query and the body because they are not needed.
    # Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-variables-for-access-logging.html
    format = jsonencode({
      request_id          = "$context.requestId"
      time                = "$context.requestTimeEpoch"
      method              = "$context.httpMethod"
      path                = "$context.path"
      route               = "$context.resourcePath"
      status              = "$context.status"
      response_bytes      = "$context.responseLength"
      latency_ms          = "$context.responseLatency"
      integration_ms      = "$context.integration.latency"
      integration_status  = "$context.integration.status"
      authorizer_status   = "$context.authorizer.status"
      authorizer_ms       = "$context.authorizer.latency"
      principal           = "$context.authorizer.principalId"
      gateway_response    = "$context.error.responseType"
      source_ip           = "$context.identity.sourceIp"
      user_agent          = "$context.identity.userAgent"
      xray_trace_id       = "$context.xrayTraceId"
      extended_request_id = "$context.extendedRequestId"
    })
  }

  # API Gateway refuses a stage with logs if the account has no role for logs. This file may create that role.
  depends_on = [aws_api_gateway_account.this]
}

resource "aws_api_gateway_method_settings" "all" {
  rest_api_id = module.chalice.rest_api_id
  stage_name  = aws_api_gateway_stage.api.stage_name
  method_path = "*/*"

  settings {
    metrics_enabled        = true
    throttling_rate_limit  = var.api_throttle.rate
    throttling_burst_limit = var.api_throttle.burst

    # Execution logs would show headers and bodies. The access log and the functions' logs are enough.
    logging_level      = "OFF"
    data_trace_enabled = false
  }
}

# There is one such setting per account and region, so it is made only if a variable asks for it.
# Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html
resource "aws_api_gateway_account" "this" {
  count = var.manage_api_gateway_account ? 1 : 0

  cloudwatch_role_arn = one(aws_iam_role.api_gateway_logs).arn

  depends_on = [aws_iam_role_policy_attachment.api_gateway_logs]
}

resource "aws_iam_role" "api_gateway_logs" {
  count = var.manage_api_gateway_account ? 1 : 0

  name        = "${var.name_prefix}-api-gateway-logs"
  description = "Lets API Gateway write the logs of every API in this account and region"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "apigateway.amazonaws.com" }
    }]
  })
}

# This is the policy of AWS, because API Gateway refuses a role with fewer permissions.
resource "aws_iam_role_policy_attachment" "api_gateway_logs" {
  count = var.manage_api_gateway_account ? 1 : 0

  role       = one(aws_iam_role.api_gateway_logs).name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
}
