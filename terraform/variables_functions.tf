variable "functions" {
  description = "By function (api, authorizer and so on): memory (MB; CPU grows with it), time-out (seconds) and reserved concurrency (default: none, small accounts have none to spare). What is not given is in functions.tf."
  type = map(object({
    memory_mb            = optional(number)
    timeout_seconds      = optional(number)
    reserved_concurrency = optional(number)
  }))
  default  = {}
  nullable = false

  validation {
    condition     = length(setsubtract(keys(var.functions), keys(local.function_defaults))) == 0
    error_message = "functions may have the keys ${join(", ", keys(local.function_defaults))}, and no others."
  }

  validation {
    condition = alltrue([
      for memory_mb in values(var.functions)[*].memory_mb :
      coalesce(memory_mb, 128) >= 128 && coalesce(memory_mb, 128) <= 10240 && floor(coalesce(memory_mb, 128)) == coalesce(memory_mb, 128)
    ])
    error_message = "memory_mb must be a whole number from 128 to 10240."
  }

  validation {
    # A range holds whole numbers only.
    condition = alltrue([
      for key, row in local.function_defaults :
      contains(range(row.timeout_limits[0], row.timeout_limits[1] + 1), coalesce(try(var.functions[key].timeout_seconds, null), row.timeout_seconds))
    ])
    error_message = "timeout_seconds must be a whole number: ${join(", ", [for key, row in local.function_defaults : "${row.timeout_limits[0]} to ${row.timeout_limits[1]} for ${key}"])}. API Gateway waits for 29 seconds; the API and the consumer stop retrying 10 seconds before their limit, to answer in time."
  }

  validation {
    condition = alltrue([
      for concurrency in values(var.functions)[*].reserved_concurrency :
      coalesce(concurrency, 1) >= 1 && floor(coalesce(concurrency, 1)) == coalesce(concurrency, 1)
    ])
    error_message = "reserved_concurrency must be a whole number of at least 1; 0 would switch the function off."
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
    condition     = var.maximum_concurrency >= 2 && var.maximum_concurrency <= 1000 && floor(var.maximum_concurrency) == var.maximum_concurrency
    error_message = "maximum_concurrency must be a whole number from 2 to 1000, which is what Lambda allows."
  }

  validation {
    condition     = var.maximum_concurrency <= coalesce(local.functions.consumer.reserved_concurrency, var.maximum_concurrency)
    error_message = "maximum_concurrency must not be above the consumer's reserved_concurrency, or Lambda throttles it and messages end in the dead-letter queue."
  }
}
