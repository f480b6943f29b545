# The permissions of each function. tests/terraform checks that they are exactly those of the calls that the code
# makes. A transaction needs the permission of each of its actions.
# Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html

locals {
  # One row for each function that calls AWS. The authorizer only fetches the issuer's keys.
  permissions = {
    api = [
      {
        Sid    = "Products"
        Effect = "Allow"
        Action = [
          "dynamodb:BatchGetItem",
          "dynamodb:ConditionCheckItem",
          "dynamodb:DeleteItem",
          "dynamodb:PutItem",
          "dynamodb:Scan",
          "dynamodb:UpdateItem",
        ]
        Resource = [aws_dynamodb_table.product.arn]
      },
      {
        Sid    = "Stock"
        Effect = "Allow"
        Action = [
          "dynamodb:BatchGetItem",
          "dynamodb:ConditionCheckItem",
          "dynamodb:DeleteItem",
          "dynamodb:GetItem",
          "dynamodb:PutItem",
          "dynamodb:Scan",
          "dynamodb:UpdateItem",
        ]
        Resource = [aws_dynamodb_table.inventory.arn]
      },
      {
        Sid    = "Records"
        Effect = "Allow"
        Action = [
          "dynamodb:GetItem",
          "dynamodb:PutItem",
          "dynamodb:UpdateItem",
        ]
        Resource = [aws_dynamodb_table.processed_events.arn]
      },
      {
        # A change of an order that version 1.1 has reserved puts what that still owes into the outbox.
        Sid      = "Outbox"
        Effect   = "Allow"
        Action   = ["dynamodb:PutItem"]
        Resource = [aws_dynamodb_table.outbox.arn]
      },
    ]

    consumer = concat(
      [
        {
          Sid      = "Orders"
          Effect   = "Allow"
          Action   = ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]
          Resource = [aws_sqs_queue.inventory.arn]
        },
        {
          Sid      = "StockLevels"
          Effect   = "Allow"
          Action   = ["dynamodb:BatchGetItem"]
          Resource = [aws_dynamodb_table.inventory.arn]
        },
        {
          Sid    = "Outbox"
          Effect = "Allow"
          Action = [
            "dynamodb:DeleteItem",
            "dynamodb:PutItem",
            "dynamodb:UpdateItem",
          ]
          Resource = [aws_dynamodb_table.outbox.arn]
        },
      ],
      local.settling,
      local.sending,
    )

    sweep = concat(
      [
        {
          Sid      = "Due"
          Effect   = "Allow"
          Action   = ["dynamodb:Query"]
          Resource = [local.holds_index_arn]
        },
        {
          Sid    = "Outbox"
          Effect = "Allow"
          Action = [
            "dynamodb:DeleteItem",
            "dynamodb:PutItem",
            "dynamodb:Scan",
            "dynamodb:UpdateItem",
          ]
          Resource = [aws_dynamodb_table.outbox.arn]
        },
      ],
      local.settling,
      local.sending,
    )
  }

  # What a function needs to settle orders, beside the outbox.
  settling = [
    {
      Sid    = "Stock"
      Effect = "Allow"
      Action = [
        "dynamodb:ConditionCheckItem",
        "dynamodb:UpdateItem",
      ]
      Resource = [aws_dynamodb_table.inventory.arn]
    },
    {
      Sid    = "Records"
      Effect = "Allow"
      Action = [
        "dynamodb:BatchGetItem",
        "dynamodb:PutItem",
      ]
      Resource = [aws_dynamodb_table.processed_events.arn]
    },
  ]

  # What a function needs to send answers.
  sending = concat(
    [
      {
        Sid      = "Answers"
        Effect   = "Allow"
        Action   = ["sqs:SendMessage"]
        Resource = [local.oms_events_queue.arn]
      },
    ],
    # Sending to a queue with a KMS key needs these.
    # Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
    [for key_arn in compact([var.oms_events_queue.kms_key_arn]) : {
      Sid      = "AnswersKey"
      Effect   = "Allow"
      Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource = [key_arn]
    }],
  )
}

resource "aws_iam_role" "function" {
  for_each = local.functions

  name        = "${each.value.name}-role"
  description = "Permissions of the function ${each.value.name}"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "lambda.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "function" {
  for_each = local.functions

  name = "permissions"
  role = aws_iam_role.function[each.key].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(try(local.permissions[each.key], []), [
      {
        Sid      = "Logs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = ["${aws_cloudwatch_log_group.function[each.key].arn}:*"]
      },
      {
        # X-Ray actions do not support resources.
        # Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsx-ray.html
        Sid      = "Traces"
        Effect   = "Allow"
        Action   = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
        Resource = ["*"]
      },
    ])
  })
}
