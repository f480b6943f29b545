"""The token issuer of the local stack: one RSA key, its JWKS over HTTP, and a token for each role.

Its tokens are valid on this stack only. Anyone who can read the key's file can create a token for any caller.
"""

from __future__ import annotations

import json
import os
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from local.gateway import NOT_FOUND, HttpRequest, HttpResponse, Refusal, problem_response
from local.server import serving

ISSUER: Final = "https://issuer.ims.local"  # only the name in `iss`: nothing is fetched from it
AUDIENCE: Final = "ims"
READ: Final = "inventory:read"
WRITE: Final = "inventory:read inventory:write"
_PATH: Final = "/.well-known/jwks.json"
_TOKEN_SECONDS: Final = 30 * 24 * 3600


class Issuer:
    """Signs tokens with the key in `file`, which is created if it is missing."""

    def __init__(self, file: Path) -> None:
        self._key = _load_key(file) if file.exists() else _create_key(file)
        public = self._key.public_key()
        self._kid = RSAAlgorithm.to_jwk(public, as_dict=True)["n"][:16]
        self._jwks = {
            "keys": [
                {
                    **RSAAlgorithm.to_jwk(public, as_dict=True),
                    "kid": self._kid,
                    "use": "sig",
                    "alg": "RS256",
                }
            ]
        }

    def token(self, subject: str, scope: str, seconds: int = _TOKEN_SECONDS) -> str:
        """Create a token for `subject`, valid for `seconds`; `scope` has the scopes, separated by spaces."""
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": subject,
            "scope": scope,
            "iat": now,
            "nbf": now,
            "exp": now + seconds,
        }
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": self._kid})

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Respond to an HTTP request with the JWKS, or with 404."""
        request_id = str(uuid.uuid4())
        if (request.method, request.path) != ("GET", _PATH):
            return problem_response(Refusal(NOT_FOUND, "This server has only the JWKS."), request_id)
        return HttpResponse(
            200, {"Content-Type": "application/json"}, json.dumps(self._jwks).encode(), request_id
        )


@contextmanager
def publishing(issuer: Issuer, bound: socket.socket) -> Iterator[str]:
    """Serve the JWKS of `issuer` on the listening socket `bound` while the block runs; yields its URL."""
    with serving(issuer.handle, bound) as url:
        yield url + _PATH


def _load_key(file: Path) -> rsa.RSAPrivateKey:
    key = serialization.load_pem_private_key(file.read_bytes(), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError(f"{file} does not contain an RSA key")
    return key


def _create_key(file: Path) -> rsa.RSAPrivateKey:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    write_private(file, pem)
    return key


def write_private(file: Path, content: bytes) -> None:
    """Write `content` to `file` completely or not at all; only the owner can read the file."""
    fresh = file.with_name(file.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as sink:
        sink.write(content)
    fresh.replace(file)
