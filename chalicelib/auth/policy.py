"""From a caller's scopes to the policy that API Gateway caches for the token."""

from collections.abc import Collection, Sequence
from typing import Any, Final

_EVERYTHING: Final = "*/*"
# As in the ARN of a call: method, then path. `*` matches slashes too.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-control-access-using-iam-policies-to-invoke-api.html
_OPENS: Final = {
    "inventory:read": ("GET/*", "POST/inventory/check"),
    "inventory:write": (_EVERYTHING,),
}


def opened(scopes: Collection[str]) -> list[str]:
    """The method and path patterns that `scopes` open; none if no scope is one of ours."""
    return [pattern for scope, patterns in _OPENS.items() if scope in scopes for pattern in patterns]


def answer(principal: str, patterns: Sequence[str], method_arn: str) -> dict[str, Any]:
    """Make the authorizer's answer: everything that `patterns` open, whatever call `method_arn` is.

    API Gateway keeps the policy with the token and applies it to later calls, so a policy for just the call
    at hand would refuse the others. Without patterns it is an explicit Deny: a statement has to name
    a resource.
    Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-output.html
    """
    api_and_stage = "/".join(method_arn.split("/")[:2])
    return {
        "principalId": principal,
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Action": "execute-api:Invoke",
                    "Effect": "Allow" if patterns else "Deny",
                    "Resource": [f"{api_and_stage}/{pattern}" for pattern in patterns or [_EVERYTHING]],
                }
            ],
        },
        # Chalice's local gateway insists on it, and adds the principal as API Gateway does.
        "context": {},
    }
