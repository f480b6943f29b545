"""Who may call what: the Lambda authorizer behind the API."""

from typing import Any

from chalicelib import clients
from chalicelib.auth import policy
from chalicelib.errors import KeysUnavailable, Unauthenticated
from chalicelib.telemetry import logger


def authorize(authorization: str, method_arn: str) -> dict[str, Any]:
    """Answer API Gateway which routes the caller's bearer token opens.

    `authorization` is the whole header, `method_arn` the ARN of the call at hand.
    Raises `Exception("Unauthorized")` for a missing or bad token: to that very message API Gateway answers
    401, to any other error, such as `KeysUnavailable`, 500. It caches policies, never errors.
    Source: https://github.com/awslabs/aws-apigateway-lambda-authorizer-blueprints (AWS's Python blueprint)
    """
    try:
        caller = clients.verifier().verify(authorization)
    except Unauthenticated as refusal:
        logger.info("token refused", extra={"reason": str(refusal)})
        # Without its cause, since a library's message may quote the token.
        raise Exception("Unauthorized") from None  # noqa: TRY002 - the message is the contract
    except KeysUnavailable as unavailable:
        logger.error("token not judged", extra={"reason": str(unavailable)})
        raise
    patterns = policy.opened(caller.scopes)
    if not patterns:
        logger.info("token opens nothing", extra={"reason": "no scope of ours"})
    return policy.answer(caller.subject, patterns, method_arn)
