variable "oms_events_queue" {
  description = "The OMS's queue that gets the answers, by name if it is in this account and region, else by ARN and URL; and the ARN of its KMS key, if it has one. It is the OMS's: nothing here creates or changes it."
  type = object({
    name        = optional(string)
    arn         = optional(string)
    url         = optional(string)
    kms_key_arn = optional(string)
  })
  nullable = false

  validation {
    condition     = (var.oms_events_queue.name == null) != (var.oms_events_queue.arn == null || var.oms_events_queue.url == null)
    error_message = "oms_events_queue needs either name, or arn and url."
  }

  validation {
    condition     = var.oms_events_queue.name == null || (var.oms_events_queue.arn == null && var.oms_events_queue.url == null)
    error_message = "oms_events_queue takes either name, or arn and url, not both."
  }

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:sqs:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,80}$", coalesce(var.oms_events_queue.arn, "arn:aws:sqs:a:000000000000:q")))
    error_message = "oms_events_queue.arn must be the ARN of a Standard queue."
  }

  validation {
    condition     = startswith(coalesce(var.oms_events_queue.url, "https://"), "https://")
    error_message = "oms_events_queue.url must start with https://."
  }

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", coalesce(var.oms_events_queue.kms_key_arn, "arn:aws:kms:a:000000000000:key/k")))
    error_message = "oms_events_queue.kms_key_arn must be the ARN of a KMS key (not of an alias: IAM does not follow those)."
  }
}

variable "oms_sender_arns" {
  description = "IAM principals of the OMS (roles, users or accounts) that may send to the inventory queue. Needed for other accounts; in this one the OMS's own role can also allow it."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.oms_sender_arns : can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:(root|role/.+|user/.+)$", arn))])
    error_message = "oms_sender_arns must be ARNs of IAM roles, users or account roots: never *, never a service."
  }
}

variable "queue_retention_days" {
  description = "Days for which the inventory queue keeps a message that is not settled, 1 to 10. What outlives them is lost."
  type        = number
  default     = 4
  nullable    = false

  validation {
    # A dead letter keeps its age, so what comes late to the dead-letter queue does not stay there for 14 days.
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/setting-up-dead-letter-queue-retention.html
    condition     = var.queue_retention_days >= 1 && var.queue_retention_days <= 10
    error_message = "queue_retention_days must be 1 to 10, so that a dead letter is kept for 4 days at least."
  }
}

variable "visibility_timeout_seconds" {
  description = "Seconds for which a message that the consumer has taken is hidden from others; null: the least that Lambda wants, 6 times the consumer's time-out plus the batch window."
  type        = number
  default     = null

  validation {
    condition     = coalesce(var.visibility_timeout_seconds, 0) >= 0 && coalesce(var.visibility_timeout_seconds, 0) <= 43200
    error_message = "visibility_timeout_seconds must be 0 to 43200."
  }
}

variable "max_receive_count" {
  description = "How often a message is delivered before it goes to the dead-letter queue, 2 to 1000. AWS advises at least 5: deliveries that are throttled count too."
  type        = number
  default     = 5
  nullable    = false

  validation {
    condition     = var.max_receive_count >= 2 && var.max_receive_count <= 1000
    error_message = "max_receive_count must be 2 to 1000; 1 would lose messages to the dead-letter queue at the first throttle."
  }
}
