# `.chalice/config.json` refers to these too: Chalice passes its strings on, and Terraform resolves them here.

variable "functions" {
  description = "Per function: its name, role, log group, memory (MB), time-out (seconds) and reserved concurrency (null: none)."
  type = map(object({
    name                 = string
    role_arn             = string
    log_group            = string
    memory_mb            = number
    timeout_seconds      = number
    reserved_concurrency = number
  }))

  validation {
    condition     = toset(keys(var.functions)) == toset(["api", "authorizer", "consumer"])
    error_message = "functions must be api, authorizer and consumer."
  }
}

variable "tables" {
  description = "Names of the tables: product, inventory and processed_events."
  type = object({
    product          = string
    inventory        = string
    processed_events = string
  })
}

variable "record_ttl_days" {
  description = "Days for which the record of an order or an adjustment is kept."
  type        = number
}

variable "consumer" {
  description = "The queue that the consumer reads, how (batch size, window in seconds, concurrent batches), and where it answers."
  type = object({
    queue_arn            = string
    batch_size           = number
    batch_window_seconds = number
    maximum_concurrency  = number
    oms_events_queue_url = string
  })
}

variable "auth" {
  description = "Whose tokens are good: issuer, audience, and the URL of the issuer's keys (empty: below the issuer)."
  type = object({
    issuer   = string
    audience = string
    jwks_url = string
  })
}

variable "api" {
  description = "Name of the API, and what API Gateway itself answers, as the value of x-amazon-apigateway-gateway-responses."
  type = object({
    name              = string
    gateway_responses = any
  })
}

variable "service_name" {
  description = "The `service` of logs and metrics: one name a stage."
  type        = string
}

variable "log_level" {
  description = "The least level of application logs that Lambda keeps."
  type        = string
}
