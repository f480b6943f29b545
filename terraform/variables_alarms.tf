variable "alarm_topic_arn" {
  description = "ARN of your own SNS topic for the alarms; null: none."
  type        = string
  default     = null

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:.+$", coalesce(var.alarm_topic_arn, "arn:aws:sns:a:000000000000:t")))
    error_message = "alarm_topic_arn must be the ARN of an SNS topic."
  }
}

variable "alarm_emails" {
  description = "Mail addresses for the alarms. Terraform creates a topic for them; each address has to confirm once."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for address in var.alarm_emails : can(regex("^[^@ ]+@[^@ ]+\\.[^@ ]+$", address))])
    error_message = "alarm_emails must be mail addresses."
  }
}

variable "alarm_thresholds" {
  description = "Thresholds of the alarms: age of the oldest order (seconds), minutes in which orders wait and none is settled, age of the oldest answer in the outbox (seconds; 90 is normal after a failed send), time by which the end of a hold is late (seconds; 90 is normal), failed API requests in 5 minutes, p99 latency of the API (ms), throttled table requests in 5 minutes."
  type = object({
    oldest_message_seconds = optional(number, 120)
    silent_minutes         = optional(number, 5)
    outbox_age_seconds     = optional(number, 300)
    holds_overdue_seconds  = optional(number, 600)
    api_5xx                = optional(number, 5)
    api_p99_ms             = optional(number, 1000)
    table_throttles        = optional(number, 10)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for threshold in values(var.alarm_thresholds) : threshold > 0])
    error_message = "alarm_thresholds must be above 0."
  }

  validation {
    condition     = var.alarm_thresholds.silent_minutes <= 60 && floor(var.alarm_thresholds.silent_minutes) == var.alarm_thresholds.silent_minutes
    error_message = "alarm_thresholds.silent_minutes must be a whole number up to 60."
  }
}
