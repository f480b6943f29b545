variable "functions" {
  description = "By function: name, role, log group, memory (MB), time-out (seconds), reserved concurrency (null: none) and environment variables."
  type = map(object({
    name                 = string
    role_arn             = string
    log_group            = string
    memory_mb            = number
    timeout_seconds      = number
    reserved_concurrency = number
    environment          = map(string)
  }))

  validation {
    condition     = toset(keys(var.functions)) == toset(local.packaged_functions)
    error_message = "Each function in the package needs a row in terraform/functions.tf, and each row needs a function. The package contains: ${join(", ", local.packaged_functions)}."
  }
}

variable "consumer" {
  description = "ARN of the queue that the consumer reads, batch size, batch window (seconds) and number of concurrent batches."
  type = object({
    queue_arn            = string
    batch_size           = number
    batch_window_seconds = number
    maximum_concurrency  = number
  })
}

variable "api" {
  description = "Name of the API, and API Gateway's own responses as the value of x-amazon-apigateway-gateway-responses."
  type = object({
    name              = string
    gateway_responses = any
  })
}

variable "log_level" {
  description = "Lowest level of application logs that Lambda keeps."
  type        = string
}
