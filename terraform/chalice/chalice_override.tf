# Arguments of the triggers that Chalice does not support. Terraform merges them into Chalice's resources in
# chalice.tf.json. The functions are complete there, since deploy/template.py writes them.
# Source: https://developer.hashicorp.com/terraform/language/files/override
#
# Without chalice.tf.json, Terraform finds nothing to override. No check can run then, but its error quotes the line
# of the resource: so each of these lines says what to do.

resource "aws_lambda_event_source_mapping" "on_sqs_message-sqs-event-source" { # missing? run `make package` first
  event_source_arn                   = var.consumer.queue_arn
  batch_size                         = var.consumer.batch_size
  maximum_batching_window_in_seconds = var.consumer.batch_window_seconds

  # The handler reports which messages failed. Without this setting, every batch would count as a success.
  function_response_types = ["ReportBatchItemFailures"]

  scaling_config {
    maximum_concurrency = var.consumer.maximum_concurrency
  }
}

# The gateway responses are part of the definition and not separate resources: an import overwrites the whole
# API, so it would delete such resources whenever a route changes.
# Source: https://github.com/hashicorp/terraform-provider-aws/blob/main/website/docs/r/api_gateway_rest_api.html.markdown (body)
resource "aws_api_gateway_rest_api" "rest_api" { # missing? run `make package` first
  name        = var.api.name
  description = "Products, stock and reservations"

  body = jsonencode(merge(
    jsondecode(local.chalice_api_swagger),
    { "x-amazon-apigateway-gateway-responses" = var.api.gateway_responses },
  ))

  # An overwrite deletes every policy, method and response that is no longer in the definition.
  put_rest_api_mode = "overwrite"
}

# A new deployment is created only if the API's definition changed. Terraform creates it before it deletes the old
# one (Chalice's lifecycle block), and moves API Gateway's stage in between.
resource "aws_api_gateway_deployment" "rest_api" { # missing? run `make package` first
  triggers = {
    redeploy = sha1(aws_api_gateway_rest_api.rest_api.body)
  }
}
