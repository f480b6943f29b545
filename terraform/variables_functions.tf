variable "functions" {
  description = "Memory (MB; CPU grows with it), time-out (seconds) and reserved concurrency (null: none, small accounts have none to spare) of each function."
  type = object({
    api = optional(object({
      memory_mb            = optional(number, 1024)
      timeout_seconds      = optional(number, 15)
      reserved_concurrency = optional(number)
    }), {})
    authorizer = optional(object({
      memory_mb            = optional(number, 512)
      timeout_seconds      = optional(number, 10)
      reserved_concurrency = optional(number)
    }), {})
    consumer = optional(object({
      memory_mb            = optional(number, 1024)
      timeout_seconds      = optional(number, 60)
      reserved_concurrency = optional(number)
    }), {})
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for function in values(var.functions) : function.memory_mb >= 128 && function.memory_mb <= 10240])
    error_message = "memory_mb must be 128 to 10240."
  }

  validation {
    condition     = alltrue([for function in [var.functions.api, var.functions.authorizer] : function.timeout_seconds >= 1 && function.timeout_seconds <= 29])
    error_message = "timeout_seconds of api and authorizer must be 1 to 29: API Gateway waits no longer."
  }

  validation {
    # The consumer stops retrying 10 seconds before its end, to answer which messages failed.
    condition     = var.functions.consumer.timeout_seconds >= 20 && var.functions.consumer.timeout_seconds <= 900
    error_message = "timeout_seconds of the consumer must be 20 to 900."
  }

  validation {
    condition     = alltrue([for function in values(var.functions) : coalesce(function.reserved_concurrency, 1) >= 1])
    error_message = "reserved_concurrency must be at least 1; 0 would switch the function off."
  }
}

variable "batch_size" {
  description = "Most messages that the consumer gets at once, 1 to 10,000; one transaction settles many orders, so larger is cheaper."
  type        = number
  default     = 50
  nullable    = false

  validation {
    condition     = var.batch_size >= 1 && var.batch_size <= 10000 && floor(var.batch_size) == var.batch_size
    error_message = "batch_size must be a whole number from 1 to 10000."
  }

  validation {
    condition     = var.batch_size <= 10 || var.batch_window_seconds >= 1
    error_message = "A batch_size over 10 needs a batch_window_seconds of at least 1: SQS hands out 10 messages at a time."
  }
}

variable "batch_window_seconds" {
  description = "Longest wait for a batch to fill, 0 to 300 seconds: it adds to the time to answer while there is little traffic."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.batch_window_seconds >= 0 && var.batch_window_seconds <= 300 && floor(var.batch_window_seconds) == var.batch_window_seconds
    error_message = "batch_window_seconds must be a whole number from 0 to 300."
  }
}

variable "maximum_concurrency" {
  description = "Most batches settled at the same time, 2 to 1000: a bound on how much consumers conflict on one SKU."
  type        = number
  default     = 5
  nullable    = false

  validation {
    condition     = var.maximum_concurrency >= 2 && var.maximum_concurrency <= 1000
    error_message = "maximum_concurrency must be 2 to 1000, which is what Lambda allows."
  }

  validation {
    condition     = var.functions.consumer.reserved_concurrency == null ? true : var.maximum_concurrency <= var.functions.consumer.reserved_concurrency
    error_message = "maximum_concurrency must not be above the consumer's reserved_concurrency, or Lambda throttles it and messages end in the dead-letter queue."
  }
}
