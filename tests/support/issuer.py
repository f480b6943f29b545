"""An issuer of tokens for tests: real keys, real signatures, any headers and claims."""

import json
import time
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

ISSUER = "https://issuer.example/"
AUDIENCE = "ims"


@dataclass(frozen=True)
class SigningKey:
    """One key of the issuer, named `kid`."""

    kid: str
    private: Any

    @property
    def algorithm(self) -> str:
        return "RS256" if isinstance(self.private, rsa.RSAPrivateKey) else "ES256"

    def jwk(self, **members: Any) -> dict[str, Any]:
        """The public half as the issuer publishes it; `members` are added or replaced."""
        kind = RSAAlgorithm if self.algorithm == "RS256" else ECAlgorithm
        published = kind.to_jwk(self.private.public_key(), as_dict=True)
        published.pop("key_ops", None)
        return {**published, "kid": self.kid, "use": "sig", "alg": self.algorithm, **members}

    def token(self, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token that is valid for a minute; `headers` and `claims` replace the usual, None omits one."""
        now = int(time.time())
        usual = {"iss": ISSUER, "aud": AUDIENCE, "sub": "clerk", "exp": now + 60, "scope": "inventory:read"}
        payload = {name: value for name, value in {**usual, **claims}.items() if value is not None}
        return self.signed(json.dumps(payload).encode(), headers)

    def signed(self, payload: bytes, headers: dict[str, Any] | None = None) -> str:
        """Any payload with a valid signature."""
        protected = {"kid": self.kid, **(headers or {})}
        protected = {name: value for name, value in protected.items() if value is not None}
        return jwt.PyJWS().encode(payload, self.private, self.algorithm, protected)


def rsa_key(kid: str, bits: int = 2048) -> SigningKey:
    return SigningKey(kid, rsa.generate_private_key(public_exponent=65537, key_size=bits))


def ec_key(kid: str, curve: ec.EllipticCurve | None = None) -> SigningKey:
    return SigningKey(kid, ec.generate_private_key(curve or ec.SECP256R1()))


@cache
def shared_rsa_key() -> SigningKey:
    """An RSA key, made once per test run, since that is slow."""
    return rsa_key("rsa-1")


@cache
def shared_ec_key() -> SigningKey:
    return ec_key("ec-1")


def key_set(*jwks: Any) -> bytes:
    """The issuer's JWKS document."""
    return json.dumps({"keys": jwks}).encode()


def segment(content: Any) -> str:
    """A part of a token, as JSON in base64url."""
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return urlsafe_b64encode(text).rstrip(b"=").decode()
