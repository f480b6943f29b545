# What Chalice cannot say about the triggers, merged over its own resources in chalice.tf.json. The functions
# are complete there: deploy/template.py writes them.
# Source: https://developer.hashicorp.com/terraform/language/files/override

resource "aws_lambda_event_source_mapping" "on_sqs_message-sqs-event-source" {
  event_source_arn                   = var.consumer.queue_arn
  batch_size                         = var.consumer.batch_size
  maximum_batching_window_in_seconds = var.consumer.batch_window_seconds

  # The handler answers which messages failed; without this every batch would count as a success.
  function_response_types = ["ReportBatchItemFailures"]

  scaling_config {
    maximum_concurrency = var.consumer.maximum_concurrency
  }
}

# The gateway responses are part of the definition, not resources of their own: an import overwrites the
# whole API, so such resources would vanish from it whenever a route changes.
# Source: https://github.com/hashicorp/terraform-provider-aws/blob/main/website/docs/r/api_gateway_rest_api.html.markdown (body)
resource "aws_api_gateway_rest_api" "rest_api" {
  name        = var.api.name
  description = "Products, stock and reservations"

  body = jsonencode(merge(
    jsondecode(local.chalice_api_swagger),
    { "x-amazon-apigateway-gateway-responses" = var.api.gateway_responses },
  ))

  # A policy, a method or a response that is not in the definition any more is gone from the API too.
  put_rest_api_mode = "overwrite"
}

# A new snapshot of the API when, and only when, its definition changed. The new one is made before the old
# one goes (Chalice's lifecycle block), and the stage moves over in between.
resource "aws_api_gateway_deployment" "rest_api" {
  triggers = {
    redeploy = sha1(aws_api_gateway_rest_api.rest_api.body)
  }
}
