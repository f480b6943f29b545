# Chalice's own schedule would give its rule the same name in every stage.

data "aws_caller_identity" "current" {}

resource "aws_scheduler_schedule" "sweep" {
  name                = "${var.name_prefix}-sweep"
  description         = "Sends the answers that are still in the outbox, and settles orders that are due"
  schedule_expression = "rate(1 minute)"

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = module.chalice.function_arns["sweep"]
    role_arn = aws_iam_role.schedule.arn

    # The next call comes in a minute, so no failed one is repeated.
    retry_policy {
      maximum_retry_attempts = 0
    }
  }

  depends_on = [aws_iam_role_policy.schedule]
}

# The scheduler's calls are asynchronous: Lambda queues them, and would repeat those that fail. By default it would keep
# those that it throttles for 6 hours. It allows no less than 60 seconds; then the next call comes.
resource "aws_lambda_function_event_invoke_config" "sweep" {
  function_name                = module.chalice.function_names["sweep"]
  maximum_retry_attempts       = 0
  maximum_event_age_in_seconds = 60
}

resource "aws_iam_role" "schedule" {
  name        = "${var.name_prefix}-schedule-role"
  description = "Lets EventBridge Scheduler call the function ${local.functions.sweep.name}"

  # The condition keeps other accounts from having the scheduler use this role.
  # Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "scheduler.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id } }
    }]
  })
}

resource "aws_iam_role_policy" "schedule" {
  name = "permissions"
  role = aws_iam_role.schedule.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "Sweep"
      Effect   = "Allow"
      Action   = ["lambda:InvokeFunction"]
      Resource = [module.chalice.function_arns["sweep"]]
    }]
  })
}
