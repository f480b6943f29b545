"""The issuer's public keys: which of them are good, and for how long they are kept."""

import json
import time
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, Final

from jwt import PyJWK, PyJWTError

from chalicelib.errors import KeysUnavailable

ALGORITHMS: Final = {"RSA": "RS256", "EC": "ES256"}
"""The one algorithm that each type of key verifies; a token never chooses.

Source: https://www.rfc-editor.org/rfc/rfc8725#section-3.1
"""
LIFETIME: Final = 3600
"""Seconds for which fetched keys are good."""
SEARCH_PAUSE: Final = 30
"""Seconds between two fetches that only an unknown `kid` asks for: anybody can make one up."""


class KeySet:
    """The issuer's keys, fetched when first needed, when too old, and in search of an unknown `kid`.

    `fetch` gets the JWKS document or raises `KeysUnavailable`. `clock` tells seconds: the wall clock, as for
    `exp`, since a monotonic one need not count the time for which Lambda freezes a process.
    Threads may share it: one fetches, the others wait and share what comes of it.
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
        """The key of that name, or None if the issuer has none.

        Raises `KeysUnavailable` if that cannot be told.
        """
        failure_before = self._failure
        if key := self._known(kid):
            return key
        with self._lock:
            if self._failure and self._failure is not failure_before:
                raise KeysUnavailable("the fetch that this call waited for failed") from self._failure
            return self._known(kid) or self._searched(kid)

    def _known(self, kid: str) -> PyJWK | None:
        return self._keys.get(kid) if self._passed_since(self._fetched_at) < LIFETIME else None

    def _searched(self, kid: str) -> PyJWK | None:
        if self._passed_since(self._fetched_at) >= LIFETIME:
            # Not held up by the pause: without keys, every good token is waiting for this.
            self._refresh()
        elif self._passed_since(self._searched_at) >= SEARCH_PAUSE:
            self._searched_at = self._clock()
            self._refresh()
        elif self._failure:
            raise KeysUnavailable("a kid not seen before, and the last fetch failed") from self._failure
        return self._keys.get(kid)

    def _refresh(self) -> None:
        try:
            self._keys = usable_keys(self._fetch())
        except KeysUnavailable as failure:
            self._failure = failure
            raise
        self._fetched_at = self._clock()
        self._failure = None

    def _passed_since(self, moment: float) -> float:
        # A clock that was set back leaves moments ahead of it: they count as long past.
        passed = self._clock() - moment
        return passed if passed >= 0 else float("inf")


def usable_keys(document: bytes) -> dict[str, PyJWK]:
    """The keys of a JWKS document that may verify tokens, by `kid`; all others are left out.

    Raises `KeysUnavailable` if there is none.
    Source: https://www.rfc-editor.org/rfc/rfc7517#section-5
    """
    try:
        listed = json.loads(document)["keys"]
        # Reversed, so that the first key of a name wins.
        keys = {jwk["kid"]: key for jwk in reversed(listed) if (key := _usable(jwk))}
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise KeysUnavailable(f"not a key set: {type(error).__name__}") from error
    if not keys:
        raise KeysUnavailable("the key set has no usable key")
    return keys


def _usable(jwk: Any) -> PyJWK | None:
    """The key, if it has a name, is public, for signatures, of a type that we take, and strong."""
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
