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

    # Who called what, how it ended and how long it took. No headers: they hold tokens. No query, no body.
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

  # Without the account's role for logs, which may be the one made here, a stage with logs is refused.
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

    # Execution logs would show headers and bodies; the access log and the functions' logs say what is needed.
    logging_level      = "OFF"
    data_trace_enabled = false
  }
}

# One per account and region, hence only on request.
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

# AWS's own policy: API Gateway refuses a role that may do less.
resource "aws_iam_role_policy_attachment" "api_gateway_logs" {
  count = var.manage_api_gateway_account ? 1 : 0

  role       = one(aws_iam_role.api_gateway_logs).name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
}
