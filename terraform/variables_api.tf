variable "auth" {
  description = "Issuer (iss) and audience (aud; with Amazon Cognito the client_id) of valid tokens, the URL of the issuer's keys if it is not <issuer>/.well-known/jwks.json, and what the issuer puts before the names of our scopes (with Cognito the resource server's identifier and a slash, such as ims/)."
  type = object({
    issuer       = string
    audience     = string
    jwks_url     = optional(string, "")
    scope_prefix = optional(string, "")
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

  validation {
    # The characters of a scope: https://www.rfc-editor.org/rfc/rfc6749#section-3.3
    condition     = can(regex("^[!#-\\[\\]-~]{0,256}$", var.auth.scope_prefix))
    error_message = "auth.scope_prefix must be up to 256 visible ASCII characters, without quotation marks and backslashes."
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
