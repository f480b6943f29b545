# API Gateway's own error responses, in the format of the application's errors (RFC 9457).
# Source of the types: https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html

locals {
  problems = {
    bad_body     = { status = 400, code = "VALIDATION_ERROR", title = "Invalid request", detail = "The body of the request is not valid." }
    bad_input    = { status = 400, code = "VALIDATION_ERROR", title = "Invalid request", detail = "A path, query or header parameter is missing or not valid." }
    unauthorized = { status = 401, code = "UNAUTHORIZED", title = "Unauthorized", detail = "A valid bearer token is required." }
    no_scope     = { status = 403, code = "FORBIDDEN", title = "Forbidden", detail = "The bearer token lacks the scope for this call." }
    no_api_key   = { status = 403, code = "FORBIDDEN", title = "Forbidden", detail = "A valid API key is required." }
    filtered     = { status = 403, code = "FORBIDDEN", title = "Forbidden", detail = "A firewall refused the request." }
    no_route     = { status = 404, code = "NOT_FOUND", title = "Not found", detail = "There is no such route." }
    too_large    = { status = 413, code = "REQUEST_TOO_LARGE", title = "Request too large", detail = "The request is larger than API Gateway accepts." }
    not_json     = { status = 415, code = "UNSUPPORTED_MEDIA_TYPE", title = "Unsupported media type", detail = "The body must be JSON." }
    throttled    = { status = 429, code = "TOO_MANY_REQUESTS", title = "Too many requests", detail = "Too many requests; try again later." }
    no_quota     = { status = 429, code = "TOO_MANY_REQUESTS", title = "Too many requests", detail = "The quota of the API key is used up." }
    internal     = { status = 500, code = "INTERNAL_ERROR", title = "Internal error", detail = "Something went wrong on our side; the request_id finds it in the logs." }
    unreachable  = { status = 504, code = "INTERNAL_ERROR", title = "Internal error", detail = "No response from the function; the request may have taken effect." }
    timed_out    = { status = 504, code = "INTERNAL_ERROR", title = "Internal error", detail = "No response in time; the request may have taken effect." }

    # For whatever has no type of its own below. API Gateway sets the status of such a response, and no variable of a
    # template tells it ($context.status is for access logs only), so the body says nothing about it.
    # Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html
    refused = { status = null, code = "REQUEST_REFUSED", title = "Request refused", detail = "The request was refused; the HTTP status tells the kind of reason." }
    failed  = { status = null, code = "INTERNAL_ERROR", title = "Internal error", detail = "Something went wrong on our side; the request_id finds it in the logs." }
  }

  # API keys, quotas, validators and a firewall are not in this module; an operator may add them to the API.
  problem_of = {
    ACCESS_DENIED                  = "no_scope"
    API_CONFIGURATION_ERROR        = "internal"
    AUTHORIZER_CONFIGURATION_ERROR = "internal"
    AUTHORIZER_FAILURE             = "internal"
    BAD_REQUEST_BODY               = "bad_body"
    BAD_REQUEST_PARAMETERS         = "bad_input"
    DEFAULT_4XX                    = "refused"
    DEFAULT_5XX                    = "failed"
    INTEGRATION_FAILURE            = "unreachable"
    INTEGRATION_TIMEOUT            = "timed_out"
    INVALID_API_KEY                = "no_api_key"
    QUOTA_EXCEEDED                 = "no_quota"
    REQUEST_TOO_LARGE              = "too_large"
    RESOURCE_NOT_FOUND             = "no_route"
    THROTTLED                      = "throttled"
    UNAUTHORIZED                   = "unauthorized"
    UNSUPPORTED_MEDIA_TYPE         = "not_json"
    WAF_FILTERED                   = "filtered"

    # None of our routes requires an AWS signature. API Gateway asks for one if a route does not exist.
    EXPIRED_TOKEN                = "no_route"
    INVALID_SIGNATURE            = "no_route"
    MISSING_AUTHENTICATION_TOKEN = "no_route"
  }

  problem_headers = {
    unauthorized = { "gatewayresponse.header.WWW-Authenticate" = "'Bearer'" }
    throttled    = { "gatewayresponse.header.Retry-After" = "'1'" }
  }

  # Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions-gateway-responses.html
  gateway_responses = {
    for type, name in local.problem_of : type => merge(
      {
        responseParameters = merge(
          { "gatewayresponse.header.Content-Type" = "'application/problem+json'" },
          lookup(local.problem_headers, name, {}),
        )
        responseTemplates = {
          "application/json" = jsonencode({
            for member, value in {
              type       = "urn:problem-type:ims:${replace(lower(local.problems[name].code), "_", "-")}"
              title      = local.problems[name].title
              status     = local.problems[name].status
              detail     = local.problems[name].detail
              code       = local.problems[name].code
              request_id = "$context.requestId"
            } : member => value if value != null
          })
        }
      },
      # A status for DEFAULT_4XX would replace that of every 4XX response that is not configured here.
      local.problems[name].status == null ? {} : { statusCode = tostring(local.problems[name].status) },
    )
  }
}
