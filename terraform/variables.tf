# Variables of the whole stage. Those of single topics are in variables_*.tf.

variable "region" {
  description = "AWS region of the stage, such as eu-central-1."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be the code of an AWS region, such as eu-central-1."
  }
}

variable "name_prefix" {
  description = "First part of every name; each stage in an account and region needs its own. IMS gives IMS-InventoryQueue."
  type        = string

  validation {
    # IAM roles have the longest names, and IAM allows 64 characters.
    condition     = can(regex("^[A-Za-z][A-Za-z0-9-]{0,30}[A-Za-z0-9]$", var.name_prefix))
    error_message = "name_prefix must be 2 to 32 letters, digits and hyphens, start with a letter and not end with a hyphen."
  }
}

variable "tags" {
  description = "Tags for every resource, in addition to Application, Stage and ManagedBy."
  type        = map(string)
  default     = {}

  validation {
    condition     = !anytrue([for key in keys(var.tags) : startswith(lower(key), "aws:")])
    error_message = "tags must not start with aws:, which is reserved for AWS."
  }
}

variable "deletion_protection" {
  description = "Whether DynamoDB refuses to delete the tables. To delete a stage, first set this to false and apply."
  type        = bool
  default     = true
  nullable    = false
}

variable "point_in_time_recovery_days" {
  description = "Number of days, 1 to 35, for which a table can be restored to any second."
  type        = number
  default     = 35
  nullable    = false

  validation {
    condition     = var.point_in_time_recovery_days >= 1 && var.point_in_time_recovery_days <= 35
    error_message = "point_in_time_recovery_days must be 1 to 35."
  }
}

variable "record_ttl_days" {
  description = "Days for which orders' records are kept. An older order cannot be released, and looks like a new one, so records must outlive the messages in both queues."
  type        = number
  default     = 90
  nullable    = false

  validation {
    condition     = var.record_ttl_days >= 2 && var.record_ttl_days <= 3650 && floor(var.record_ttl_days) == var.record_ttl_days
    error_message = "record_ttl_days must be a whole number from 2 to 3650."
  }
}

variable "fulfill_after_days" {
  description = "Days after which the sweep closes firm orders as fulfilled, for an OMS that never says that it has shipped; null: never."
  type        = number
  default     = null

  validation {
    condition     = coalesce(var.fulfill_after_days, 1) >= 1 && coalesce(var.fulfill_after_days, 1) <= 3650 && floor(coalesce(var.fulfill_after_days, 1)) == coalesce(var.fulfill_after_days, 1)
    error_message = "fulfill_after_days must be a whole number from 1 to 3650, or null."
  }
}

variable "log_level" {
  description = "Lowest level of application logs, DEBUG or INFO. Metrics are written as logs of level INFO, so a higher level would lose them."
  type        = string
  default     = "INFO"
  nullable    = false

  validation {
    condition     = contains(["DEBUG", "INFO"], var.log_level)
    error_message = "log_level must be DEBUG or INFO. With a higher level, Lambda would drop the metrics."
  }
}

variable "log_retention_days" {
  description = "Days for which CloudWatch keeps the logs of the functions and the API."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition = contains(
      [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653],
      var.log_retention_days,
    )
    error_message = "log_retention_days must be a number of days that CloudWatch Logs supports: 1, 3, 5, 7, 14, 30, 60, 90, …, 3653."
  }
}
