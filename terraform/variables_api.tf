variable "auth" {
  description = "Issuer (iss) and audience (aud) of valid tokens, and the URL of the issuer's keys if it is not <issuer>/.well-known/jwks.json."
  type = object({
    issuer   = string
    audience = string
    jwks_url = optional(string, "")
  })
  nullable = false

  validation {
    condition     = startswith(var.auth.issuer, "https://") && length(var.auth.audience) > 0
    error_message = "auth needs an audience, and an issuer that starts with https://. Without them, the authorizer denies everyone."
  }

  validation {
    condition     = var.auth.jwks_url == "" || startswith(var.auth.jwks_url, "https://")
    error_message = "auth.jwks_url must start with https://."
  }
}

variable "api_stage_name" {
  description = "Name of API Gateway's stage: the first segment of the URL's path."
  type        = string
  default     = "v1"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_]{1,128}$", var.api_stage_name))
    error_message = "api_stage_name must be 1 to 128 letters, digits and underscores."
  }
}

variable "api_throttle" {
  description = "Maximum of API requests: rate (per second, over time) and burst (at once). API Gateway responds to more with 429."
  type = object({
    rate  = optional(number, 500)
    burst = optional(number, 1000)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.api_throttle.rate > 0 && var.api_throttle.burst >= 1
    error_message = "api_throttle.rate must be above 0 and burst at least 1."
  }
}

variable "manage_api_gateway_account" {
  description = "Whether to set the role with which API Gateway writes logs. There is one per account and region, so set this to true in at most one stage, and only if nothing else sets the role."
  type        = bool
  default     = false
  nullable    = false
}
