"""An issuer of tokens for the local stack: one RSA key, its JWKS over HTTP, and a token for each role.

It exists on this machine only: whoever can read the key's file can be anybody on this stack, and on no other.
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

from chalicelib.api.problems import Problem
from local.gateway import Answer, Refusal, Request, problem
from local.server import serving

ISSUER: Final = "https://issuer.ims.local"  # a name, as `iss`; nothing is fetched from it
AUDIENCE: Final = "ims"
READ: Final = "inventory:read"
WRITE: Final = "inventory:read inventory:write"
_PATH: Final = "/.well-known/jwks.json"
_TOKEN_SECONDS: Final = 30 * 24 * 3600


class Issuer:
    """Signs tokens with the key in a file, which is made if it is missing."""

    def __init__(self, file: Path) -> None:
        self._key = _load(file) if file.exists() else _create(file)
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
        """A token for `subject`, good for `seconds`; `scope` is the names of scopes with spaces between."""
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

    def answer(self, request: Request) -> Answer:
        """Answer an HTTP request: the JWKS, or 404."""
        request_id = str(uuid.uuid4())
        if (request.method, request.path) != ("GET", _PATH):
            return problem(
                Refusal(Problem(404, "NOT_FOUND", "Not found"), "Only the JWKS is here."), request_id
            )
        return Answer(200, {"Content-Type": "application/json"}, json.dumps(self._jwks).encode(), request_id)


@contextmanager
def publishing(issuer: Issuer, bound: socket.socket) -> Iterator[str]:
    """Serve the JWKS of `issuer` on the listening socket `bound` while the block runs; yields its URL."""
    with serving(issuer.answer, bound) as url:
        yield url + _PATH


def _load(file: Path) -> rsa.RSAPrivateKey:
    key = serialization.load_pem_private_key(file.read_bytes(), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError(f"{file} does not hold an RSA key")
    return key


def _create(file: Path) -> rsa.RSAPrivateKey:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    write_private(file, pem)
    return key


def write_private(file: Path, content: bytes) -> None:
    """Write `content` to `file`, whole or not at all, readable by its owner only."""
    fresh = file.with_name(file.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as sink:
        sink.write(content)
    fresh.replace(file)
