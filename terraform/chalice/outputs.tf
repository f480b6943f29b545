# The outputs function_arns, function_names and version are in chalice.tf.json.

output "rest_api_id" {
  description = "Id of the REST API."
  value       = aws_api_gateway_rest_api.rest_api.id
}

output "deployment_id" {
  description = "Id of the newest deployment of the API, for API Gateway's stage."
  value       = aws_api_gateway_deployment.rest_api.id
}

# These are only for the tests of the root module.

output "api_checksum" {
  description = "Checksum of the API's definition; a change creates a new deployment."
  value       = aws_api_gateway_deployment.rest_api.triggers.redeploy
}

output "event_source_mapping" {
  description = "How Lambda reads the queue: batch size, window (seconds), concurrency, and the handler's response types."
  value = {
    event_source_arn    = aws_lambda_event_source_mapping.on_sqs_message-sqs-event-source.event_source_arn
    batch_size          = aws_lambda_event_source_mapping.on_sqs_message-sqs-event-source.batch_size
    batch_window        = aws_lambda_event_source_mapping.on_sqs_message-sqs-event-source.maximum_batching_window_in_seconds
    maximum_concurrency = one(aws_lambda_event_source_mapping.on_sqs_message-sqs-event-source.scaling_config).maximum_concurrency
    response_types      = aws_lambda_event_source_mapping.on_sqs_message-sqs-event-source.function_response_types
  }
}
