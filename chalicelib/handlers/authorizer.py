"""The Lambda authorizer behind the API: from a bearer token to the policy that API Gateway caches for it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Final

from chalicelib.errors import KeysUnavailable, Unauthenticated
from chalicelib.telemetry import logger

if TYPE_CHECKING:
    from chalicelib.auth.verifier import Verifier

_EVERYTHING: Final = "*/*"
# As in the ARN of a call: method, then path. `*` matches slashes too.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-control-access-using-iam-policies-to-invoke-api.html
_OPENS: Final = {
    "inventory:read": ("GET/*", "HEAD/*", "POST/inventory/check"),
    "inventory:write": (_EVERYTHING,),
}


def authorize(authorization: str, method_arn: str, verifier: Verifier) -> dict[str, Any]:
    """Tell API Gateway which routes the caller's bearer token opens.

    `authorization` is the whole header, `method_arn` the ARN of the current call.
    Raises `Exception("Unauthorized")` for a missing or invalid token: to exactly that message API Gateway
    answers 401, to any other error, such as `KeysUnavailable`, 500. It caches policies, never errors.
    Source: https://github.com/awslabs/aws-apigateway-lambda-authorizer-blueprints (AWS's Python blueprint)
    """
    try:
        caller = verifier.verify(authorization)
    except Unauthenticated as refusal:
        logger.info("token refused", extra={"reason": str(refusal)})
        # Without its cause, since a library's message may quote the token.
        raise Exception("Unauthorized") from None  # noqa: TRY002 - the message is the contract
    except KeysUnavailable as unavailable:
        logger.error("token could not be checked", extra={"reason": str(unavailable)})
        raise
    patterns = opened(caller.scopes)
    if not patterns:
        logger.info("token opens nothing", extra={"reason": "it has none of our scopes"})
    return policy(caller.subject, patterns, method_arn)


def opened(scopes: Collection[str]) -> list[str]:
    """The method and path patterns that `scopes` open; none if no scope is one of ours."""
    return [pattern for scope, patterns in _OPENS.items() if scope in scopes for pattern in patterns]


def policy(principal: str, patterns: Sequence[str], method_arn: str) -> dict[str, Any]:
    """Make the authorizer's response: everything that `patterns` open, whatever call `method_arn` is.

    API Gateway caches the policy with the token and applies it to later calls, so a policy for only the
    current call would refuse the others. Without patterns it is an explicit Deny: a statement has to name
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
