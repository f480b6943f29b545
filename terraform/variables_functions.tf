variable "functions" {
  description = "By function (api, authorizer, consumer, sweep): memory (MB; more memory brings more CPU), time-out (seconds) and reserved concurrency (default: none, since small accounts cannot spare any). The other defaults are in functions.tf."
  type = map(object({
    memory_mb            = optional(number)
    timeout_seconds      = optional(number)
    reserved_concurrency = optional(number)
  }))
  default  = {}
  nullable = false

  validation {
    condition     = length(setsubtract(keys(var.functions), keys(local.function_defaults))) == 0
    error_message = "functions may have only the keys ${join(", ", keys(local.function_defaults))}."
  }

  validation {
    condition = alltrue([
      for memory_mb in values(var.functions)[*].memory_mb :
      coalesce(memory_mb, 128) >= 128 && coalesce(memory_mb, 128) <= 10240 && floor(coalesce(memory_mb, 128)) == coalesce(memory_mb, 128)
    ])
    error_message = "memory_mb must be a whole number from 128 to 10240."
  }

  validation {
    # A range contains only whole numbers.
    condition = alltrue([
      for key, row in local.function_defaults :
      contains(range(row.timeout_limits[0], row.timeout_limits[1] + 1), coalesce(try(var.functions[key].timeout_seconds, null), row.timeout_seconds))
    ])
    error_message = "timeout_seconds must be a whole number: ${join(", ", [for key, row in local.function_defaults : "${row.timeout_limits[0]} to ${row.timeout_limits[1]} for ${key}"])}. API Gateway waits for 29 seconds; the consumer stops retrying 10 seconds before its time-out, to report which messages failed; the sweep must end before the next one begins, each minute."
  }

  validation {
    condition = alltrue([
      for concurrency in values(var.functions)[*].reserved_concurrency :
      coalesce(concurrency, 1) >= 1 && floor(coalesce(concurrency, 1)) == coalesce(concurrency, 1)
    ])
    error_message = "reserved_concurrency must be a whole number of at least 1. With 0, the function would never run."
  }
}

variable "batch_size" {
  description = "Maximum number of messages that the consumer gets at once, 1 to 10,000. A larger batch is cheaper, since one transaction settles many orders."
  type        = number
  default     = 50
  nullable    = false

  validation {
    condition     = var.batch_size >= 1 && var.batch_size <= 10000 && floor(var.batch_size) == var.batch_size
    error_message = "batch_size must be a whole number from 1 to 10000."
  }

  validation {
    condition     = var.batch_size <= 10 || var.batch_window_seconds >= 1
    error_message = "A batch_size over 10 needs a batch_window_seconds of at least 1, since one receive returns at most 10 messages."
  }
}

variable "batch_window_seconds" {
  description = "Longest wait for a batch to fill, 0 to 300 seconds. With little traffic, it adds to the time to answer."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.batch_window_seconds >= 0 && var.batch_window_seconds <= 300 && floor(var.batch_window_seconds) == var.batch_window_seconds
    error_message = "batch_window_seconds must be a whole number from 0 to 300."
  }
}

variable "maximum_concurrency" {
  description = "Maximum number of batches settled at the same time, 2 to 1000. It limits how often consumers conflict on the same SKUs."
  type        = number
  default     = 5
  nullable    = false

  validation {
    condition     = var.maximum_concurrency >= 2 && var.maximum_concurrency <= 1000 && floor(var.maximum_concurrency) == var.maximum_concurrency
    error_message = "maximum_concurrency must be a whole number from 2 to 1000, the limits of Lambda."
  }

  validation {
    condition     = var.maximum_concurrency <= coalesce(local.functions.consumer.reserved_concurrency, var.maximum_concurrency)
    error_message = "maximum_concurrency must not exceed the consumer's reserved_concurrency. Otherwise Lambda throttles the consumer, and messages end in the dead-letter queue."
  }
}
