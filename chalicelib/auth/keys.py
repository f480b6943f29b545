"""The issuer's public keys: which of them are usable, and for how long they are cached."""

import json
import time
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, Final

from jwt import PyJWK, PyJWTError

from chalicelib.errors import KeysUnavailable

ALGORITHMS: Final = {"RSA": "RS256", "EC": "ES256"}
"""The only algorithm for each type of key; a token cannot choose another.

Source: https://www.rfc-editor.org/rfc/rfc8725#section-3.1
"""
LIFETIME: Final = 3600
"""Seconds for which fetched keys are cached."""
SEARCH_PAUSE: Final = 30
"""Seconds between two fetches for an unknown `kid`, which any caller can invent."""


class KeySet:
    """The issuer's keys, fetched when first needed, when they expire, and to find an unknown `kid`.

    `fetch` returns the JWKS document or raises `KeysUnavailable`. `clock` returns the wall clock's seconds,
    as for `exp`: a monotonic clock may not count the time for which Lambda freezes a process.
    Threads may share it: one fetches, the others wait and share the result.
    """

    def __init__(self, fetch: Callable[[], bytes], clock: Callable[[], float] = time.time) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = Lock()
        self._keys: Mapping[str, PyJWK] = {}
        self._fetched_at = -float("inf")
        self._searched_at = -float("inf")
        self._failure: KeysUnavailable | None = None

    def find(self, kid: str) -> PyJWK | None:
        """Return the key with this `kid`, or None if the issuer has no such key.

        Raises `KeysUnavailable` if the keys cannot be fetched.
        """
        failure_before = self._failure
        if key := self._cached(kid):
            return key
        with self._lock:
            if self._failure and self._failure is not failure_before:
                raise KeysUnavailable("the fetch that this call waited for failed") from self._failure
            return self._cached(kid) or self._find_or_fetch(kid)

    def _cached(self, kid: str) -> PyJWK | None:
        return self._keys.get(kid) if self._seconds_since(self._fetched_at) < LIFETIME else None

    def _find_or_fetch(self, kid: str) -> PyJWK | None:
        if self._seconds_since(self._fetched_at) >= LIFETIME:
            # The pause does not apply: without keys, no valid token can be checked.
            self._refresh()
        elif self._seconds_since(self._searched_at) >= SEARCH_PAUSE:
            self._searched_at = self._clock()
            self._refresh()
        elif self._failure:
            raise KeysUnavailable("the kid is unknown, and the last fetch failed") from self._failure
        return self._keys.get(kid)

    def _refresh(self) -> None:
        try:
            self._keys = usable_keys(self._fetch())
        except KeysUnavailable as failure:
            self._failure = failure
            raise
        self._fetched_at = self._clock()
        self._failure = None

    def _seconds_since(self, moment: float) -> float:
        # If the clock was set back, a moment can be in the future. It then counts as long past.
        passed = self._clock() - moment
        return passed if passed >= 0 else float("inf")


def usable_keys(document: bytes) -> dict[str, PyJWK]:
    """Return the keys of a JWKS document that may verify tokens, by `kid`; ignore all others.

    Raises `KeysUnavailable` if no key is usable.
    Source: https://www.rfc-editor.org/rfc/rfc7517#section-5
    """
    try:
        listed = json.loads(document)["keys"]
        # The list is reversed, so that the first key with a `kid` wins.
        keys = {jwk["kid"]: key for jwk in reversed(listed) if (key := _usable(jwk))}
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise KeysUnavailable(f"not a key set: {type(error).__name__}") from error
    if not keys:
        raise KeysUnavailable("the key set has no usable key")
    return keys


def _usable(jwk: Any) -> PyJWK | None:
    """Return the key if it has a `kid`, is public, is for signatures, has a supported type, and is strong."""
    if not isinstance(jwk, dict) or not isinstance(jwk.get("kid"), str) or "d" in jwk:
        return None
    algorithm = ALGORITHMS.get(str(jwk.get("kty")))
    if algorithm is None or jwk.get("alg", algorithm) != algorithm or jwk.get("use", "sig") != "sig":
        return None
    try:
        key = PyJWK(jwk, algorithm)
        # prepare_key refuses curves other than P-256.
        weakness = key.Algorithm.check_key_length(key.Algorithm.prepare_key(key.key))
    except PyJWTError:
        return None
    return None if weakness else key
