variable "auth" {
  description = "Whose bearer tokens are good: issuer (the token's iss), audience (aud), and the URL of the issuer's keys if it is not <issuer>/.well-known/jwks.json."
  type = object({
    issuer   = string
    audience = string
    jwks_url = optional(string, "")
  })
  nullable = false

  validation {
    condition     = startswith(var.auth.issuer, "https://") && length(var.auth.audience) > 0
    error_message = "auth needs an issuer that starts with https:// and an audience; without them the authorizer denies everyone."
  }

  validation {
    condition     = var.auth.jwks_url == "" || startswith(var.auth.jwks_url, "https://")
    error_message = "auth.jwks_url must start with https://."
  }
}

variable "api_stage_name" {
  description = "Name of the API's stage: the first segment of the URL's path."
  type        = string
  default     = "v1"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_]{1,128}$", var.api_stage_name))
    error_message = "api_stage_name must be 1 to 128 letters, digits and underscores."
  }
}

variable "api_throttle" {
  description = "Most requests to the API: rate (a second, over time) and burst (at once); beyond, API Gateway answers 429."
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
  description = "Whether to set the role with which API Gateway writes logs: one setting per account and region, so true in at most one stage, and only where nothing else sets it."
  type        = bool
  default     = false
  nullable    = false
}
