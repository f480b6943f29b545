variable "oms_events_queue" {
  description = "The OMS's queue of the answers: its name if it is in this account and region, otherwise its ARN and URL; and the ARN of its KMS key if it has one. Terraform never creates or changes this queue."
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
    error_message = "oms_events_queue.kms_key_arn must be the ARN of a KMS key (not of an alias, which IAM does not support here)."
  }
}

variable "oms_sender_arns" {
  description = "IAM principals of the OMS (roles, users or accounts) that may send orders to the inventory queue. Principals of other accounts must be listed; in this account, a policy of the OMS's role can allow it as well."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.oms_sender_arns : can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:(root|role/.+|user/.+)$", arn))])
    error_message = "oms_sender_arns must be ARNs of IAM roles, users or account roots, not * or a service."
  }
}

variable "oms_source_arns" {
  description = "SNS topics and EventBridge rules of the OMS that may deliver orders to the inventory queue. The IMS takes orders out of their envelopes."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.oms_source_arns : can(regex("^arn:aws[a-z-]*:(sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]+|events:[a-z0-9-]+:[0-9]{12}:rule/[A-Za-z0-9._/-]+)$", arn))])
    error_message = "oms_source_arns must be ARNs of SNS topics (standard ones) or EventBridge rules."
  }
}

variable "queue_retention_days" {
  description = "Days for which an order may wait for a consumer, 1 to 10. Then SQS deletes it."
  type        = number
  default     = 4
  nullable    = false

  validation {
    # SQS counts the 14 days of the dead-letter queue from the first send of a message, so a message that arrives
    # there late is kept for a shorter time.
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/setting-up-dead-letter-queue-retention.html
    condition     = var.queue_retention_days >= 1 && var.queue_retention_days <= 10
    error_message = "queue_retention_days must be 1 to 10, so that a dead letter is kept for at least 4 days."
  }
}

variable "visibility_timeout_seconds" {
  description = "Seconds for which a received message stays hidden, so the wait before it is redelivered; null: the minimum for Lambda, 6 times the consumer's time-out plus the batch window."
  type        = number
  default     = null

  validation {
    condition     = coalesce(var.visibility_timeout_seconds, 0) >= 0 && coalesce(var.visibility_timeout_seconds, 0) <= 43200
    error_message = "visibility_timeout_seconds must be 0 to 43200."
  }
}

variable "max_receive_count" {
  description = "Number of deliveries, 2 to 1000, before a message becomes a dead letter. AWS advises at least 5, since throttled deliveries count too."
  type        = number
  default     = 5
  nullable    = false

  validation {
    condition     = var.max_receive_count >= 2 && var.max_receive_count <= 1000
    error_message = "max_receive_count must be 2 to 1000. With 1, the first throttle would make a message a dead letter."
  }
}
