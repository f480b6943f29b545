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
            claims = jwt.decode(
                token,
                self._key(jwt.get_unverified_header(token)),
                algorithms=list(ALGORITHMS.values()),
                issuer=self._settings.issuer,
                audience=self._settings.audience,
                leeway=LEEWAY,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.PyJWTError as error:
            # The error names only the type, because the message may quote the token.
            raise Unauthenticated(type(error).__name__) from error
        return Caller(_subject(claims), _scopes(claims))

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


def _scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    """The scopes in `scope` (RFC 9068) and `scp` (Okta, Entra ID), each a string or a list."""
    scopes: set[str] = set()
    for value in (claims.get("scope"), claims.get("scp")):
        if isinstance(value, str):
            scopes.update(value.split(" "))
        elif isinstance(value, list):
            scopes.update(entry for entry in value if isinstance(entry, str))
    return frozenset(scopes)
