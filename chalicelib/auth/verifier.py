"""Checks bearer tokens, and says who the caller is."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import jwt

from chalicelib.auth.keys import ALGORITHMS
from chalicelib.errors import Unauthenticated
from chalicelib.settings import AuthSettings

LEEWAY: Final = 30
"""Seconds by which the issuer's clock and ours may differ."""
MAX_HEADER: Final = 8192
"""Characters; API Gateway allows 10,240 bytes for the request line and all headers together.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html
"""
MAX_SUBJECT: Final = 256

# The scheme in upper or lower case, at least one space, one token.
# Sources: https://www.rfc-editor.org/rfc/rfc9110#section-11.1, https://www.rfc-editor.org/rfc/rfc6750#section-2.1
_BEARER: Final = re.compile(r"(?i:bearer) +([A-Za-z0-9._~+/-]+=*)")


@dataclass(frozen=True, slots=True)
class Caller:
    """The subject of a valid token, and its scopes."""

    subject: str
    scopes: frozenset[str]


class Keys(Protocol):
    """Finds the issuer's key by its `kid`; raises `KeysUnavailable`."""

    def find(self, kid: str) -> jwt.PyJWK | None: ...


class Verifier:
    """Checks the bearer tokens of one issuer for one audience."""

    def __init__(self, settings: AuthSettings, keys: Keys) -> None:
        self._settings = settings
        self._keys = keys

    def verify(self, authorization: str) -> Caller:
        """Check the token in an Authorization header, and return its caller.

        Raises `Unauthenticated` if it is missing or invalid, `KeysUnavailable` if it cannot be checked.
        Source: https://www.rfc-editor.org/rfc/rfc8725 (JWT best current practices)
        """
        if not (self._settings.issuer and self._settings.audience):
            raise Unauthenticated("AUTH_ISSUER or AUTH_AUDIENCE is empty, so every token is denied")
        token = _bearer(authorization)
        try:
            claims = self._claims(token, self._key(jwt.get_unverified_header(token)))
        except jwt.PyJWTError as error:
            # The error names only the type, because the message may quote the token.
            raise Unauthenticated(type(error).__name__) from error
        if claims.get("token_use", "access") != "access":
            raise Unauthenticated("token_use is not access")
        return Caller(_subject(claims), _scopes(claims, self._settings.scope_prefix))

    def _claims(self, token: str, key: jwt.PyJWK) -> dict[str, Any]:
        """The claims of a token whose signature, time, issuer and audience are right.

        An access token of Amazon Cognito has no `aud`: its `client_id` has to be the audience.
        Source: https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html
        """
        try:
            return self._decode(token, key, "aud", self._settings.audience)
        except jwt.MissingRequiredClaimError as missing:
            if missing.claim != "aud":
                raise
        claims = self._decode(token, key, "client_id", None)
        if "aud" in claims or claims.get("token_use") != "access":
            raise jwt.InvalidAudienceError
        if claims["client_id"] != self._settings.audience:
            raise jwt.InvalidAudienceError
        return claims

    def _decode(self, token: str, key: jwt.PyJWK, client: str, audience: str | None) -> dict[str, Any]:
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=list(ALGORITHMS.values()),
            issuer=self._settings.issuer,
            audience=audience,
            leeway=LEEWAY,
            options={"require": ["exp", "iss", client, "sub"]},
        )
        return claims

    def _key(self, header: Mapping[str, Any]) -> jwt.PyJWK:
        # This comes before the search for the key, so that such tokens cause no fetch.
        if header.get("alg") not in ALGORITHMS.values():
            raise Unauthenticated("the algorithm is not RS256 or ES256")
        kid = header.get("kid")
        if kid is None:
            raise Unauthenticated("the token has no kid")
        key = self._keys.find(kid)
        if key is None:
            raise Unauthenticated(f"unknown kid {kid[:64]!a}")
        return key


def _bearer(authorization: str) -> str:
    match = _BEARER.fullmatch(authorization) if len(authorization) <= MAX_HEADER else None
    if match is None:
        raise Unauthenticated("the header is not one bearer token, or is too long")
    return match[1]


def _subject(claims: Mapping[str, Any]) -> str:
    subject: str = claims["sub"]
    # The subject becomes part of records and logs, so it may not break a line or fail to be encoded.
    if not (0 < len(subject) <= MAX_SUBJECT and subject.isprintable()):
        raise Unauthenticated("sub is empty, too long or not printable")
    return subject


def _scopes(claims: Mapping[str, Any], prefix: str) -> frozenset[str]:
    """The scopes in `scope` (RFC 9068) and `scp` (Okta, Entra ID), each a string or a list.

    Only those with `prefix` are ours, and are returned without it. Cognito puts the identifier of its
    resource server and a slash before each.
    """
    scopes: set[str] = set()
    for value in (claims.get("scope"), claims.get("scp")):
        if isinstance(value, str):
            scopes.update(value.split(" "))
        elif isinstance(value, list):
            scopes.update(entry for entry in value if isinstance(entry, str))
    return frozenset(scope.removeprefix(prefix) for scope in scopes if scope.startswith(prefix))
