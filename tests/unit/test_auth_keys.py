import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from chalicelib.auth.keys import KeySet, usable_keys
from chalicelib.errors import KeysUnavailable
from tests.support.issuer import SigningKey, ec_key, key_set, rsa_key, shared_ec_key, shared_rsa_key


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Endpoint:
    """The issuer's endpoint: serves `keys`, or fails while they are None."""

    def __init__(self, *keys: SigningKey) -> None:
        self.keys: tuple[SigningKey, ...] | None = keys
        self.fetches = 0

    def __call__(self) -> bytes:
        self.fetches += 1
        if self.keys is None:
            raise KeysUnavailable("down")
        return key_set(*(key.jwk() for key in self.keys))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint(shared_rsa_key())


@pytest.fixture
def keys(endpoint: Endpoint, clock: Clock) -> KeySet:
    return KeySet(endpoint, clock)


class TestUsableKeys:
    def test_rsa_and_p256_keys_have_one_algorithm_each(self) -> None:
        keys = usable_keys(key_set(shared_rsa_key().jwk(), shared_ec_key().jwk()))
        assert {kid: key.algorithm_name for kid, key in keys.items()} == {"rsa-1": "RS256", "ec-1": "ES256"}

    @pytest.mark.parametrize("absent", ["alg", "use"])
    def test_use_and_alg_are_optional(self, absent: str) -> None:
        jwk = shared_rsa_key().jwk()
        del jwk[absent]
        assert list(usable_keys(key_set(jwk))) == ["rsa-1"]

    @pytest.mark.parametrize(
        "bad",
        [
            shared_rsa_key().jwk(use="enc"),
            shared_rsa_key().jwk(alg="RS512"),
            shared_rsa_key().jwk(alg="ES256"),
            shared_rsa_key().jwk(alg="HS256"),
            shared_rsa_key().jwk(alg=["RS256"]),
            shared_rsa_key().jwk(alg=None),
            shared_rsa_key().jwk(kty="EC"),
            shared_rsa_key().jwk(kty=["RSA"]),
            shared_rsa_key().jwk(kty=None),
            shared_rsa_key().jwk(n="!"),
            shared_rsa_key().jwk(n=7),
            shared_rsa_key().jwk(e=""),
            shared_rsa_key().jwk(kid=None),
            shared_rsa_key().jwk(kid=1),
            shared_rsa_key().jwk(kid=["rsa-1"]),
            RSAAlgorithm.to_jwk(rsa_key("private").private, as_dict=True) | {"kid": "private"},
            ECAlgorithm.to_jwk(ec_key("private").private, as_dict=True) | {"kid": "private"},
            rsa_key("weak", bits=1024).jwk(),
            shared_ec_key().jwk(alg="RS256"),
            shared_ec_key().jwk(x=ec_key("other").jwk()["x"]),
            ec_key("p384", ec.SECP384R1()).jwk(),
            ec_key("secp256k1", ec.SECP256K1()).jwk(),
            {"kty": "oct", "k": "c2VjcmV0", "kid": "hmac", "alg": "HS256"},
            {"kty": "oct", "k": "c2VjcmV0", "kid": "hmac", "alg": "RS256"},
            {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "ed"},
            {},
            None,
            "rsa-1",
        ],
    )
    def test_unusable_key_is_ignored(self, bad: Any) -> None:
        good = ec_key("good")
        assert list(usable_keys(key_set(bad, good.jwk()))) == ["good"]

    def test_first_of_two_keys_with_one_kid_is_used(self) -> None:
        keys = usable_keys(key_set(shared_rsa_key().jwk(kid="same"), shared_ec_key().jwk(kid="same")))
        assert keys["same"].algorithm_name == "RS256"

    @pytest.mark.parametrize(
        "document",
        [
            b"",
            b"not json",
            b"\xff",
            b"[" * 100_000,
            b"null",
            b"[]",
            b"{}",
            b'{"keys": null}',
            b'{"keys": 1}',
            b'{"keys": {}}',
            b'{"keys": "rsa-1"}',
            key_set(),
            key_set(shared_rsa_key().jwk(use="enc")),
        ],
    )
    def test_document_without_a_usable_key_is_no_key_set(self, document: bytes) -> None:
        with pytest.raises(KeysUnavailable):
            usable_keys(document)

    @given(
        st.dictionaries(
            st.sampled_from(["kty", "kid", "alg", "use", "crv", "n", "e", "x", "y", "d", "k", "key_ops"]),
            st.none()
            | st.integers()
            | st.text("AQ-_= é", max_size=8)
            | st.sampled_from(["RSA", "EC", "RS256", "ES256", "P-256", "sig", "AQAB", "A" * 43])
            | st.lists(st.integers(), max_size=2),
        )
    )
    def test_valid_key_stays_usable_beside_arbitrary_entries(self, jwk: dict[str, Any]) -> None:
        good = shared_ec_key().jwk(kid="good key")
        assert usable_keys(key_set(jwk, good))["good key"].algorithm_name == "ES256"


class TestCache:
    def test_keys_are_fetched_at_first_use_and_then_cached(self, keys: KeySet, endpoint: Endpoint) -> None:
        assert endpoint.fetches == 0
        assert keys.find("rsa-1") is keys.find("rsa-1") is not None
        assert endpoint.fetches == 1

    def test_keys_are_cached_for_just_under_an_hour(
        self, keys: KeySet, endpoint: Endpoint, clock: Clock
    ) -> None:
        keys.find("rsa-1")
        clock.now += 3599.9
        keys.find("rsa-1")
        assert endpoint.fetches == 1

    def test_keys_are_fetched_again_after_an_hour(
        self, keys: KeySet, endpoint: Endpoint, clock: Clock
    ) -> None:
        keys.find("rsa-1")
        endpoint.keys = (shared_ec_key(),)
        clock.now += 3600
        assert keys.find("rsa-1") is None
        assert keys.find("ec-1") is not None
        assert endpoint.fetches == 2

    def test_clock_that_is_set_back_does_not_extend_the_cache(
        self, keys: KeySet, endpoint: Endpoint, clock: Clock
    ) -> None:
        keys.find("rsa-1")
        clock.now -= 7200
        keys.find("rsa-1")
        assert endpoint.fetches == 2

    def test_expired_keys_are_not_used_when_they_cannot_be_fetched(
        self, keys: KeySet, endpoint: Endpoint, clock: Clock
    ) -> None:
        keys.find("rsa-1")
        endpoint.keys = None
        clock.now += 3600
        with pytest.raises(KeysUnavailable):
            keys.find("rsa-1")

    def test_failed_first_fetch_is_retried_by_the_next_call(self, keys: KeySet, endpoint: Endpoint) -> None:
        good, endpoint.keys = endpoint.keys, None
        for _ in range(2):
            with pytest.raises(KeysUnavailable):
                keys.find("rsa-1")
        endpoint.keys = good
        assert keys.find("rsa-1") is not None
        assert endpoint.fetches == 3


class TestUnknownKids:
    def test_new_key_is_found_at_once(self, keys: KeySet, endpoint: Endpoint) -> None:
        keys.find("rsa-1")
        endpoint.keys = (shared_rsa_key(), shared_ec_key())
        assert keys.find("ec-1") is not None
        assert endpoint.fetches == 2

    def test_call_that_fetches_first_does_not_fetch_again(self, keys: KeySet, endpoint: Endpoint) -> None:
        assert keys.find("unknown") is None
        assert endpoint.fetches == 1

    def test_unknown_kids_cause_one_fetch_per_thirty_seconds(
        self, keys: KeySet, endpoint: Endpoint, clock: Clock
    ) -> None:
        keys.find("rsa-1")
        for number in range(300):
            assert keys.find(f"unknown-{number}") is None
            clock.now += 0.1
        # The sum of the tenths is not exactly the pause: go one step beyond it.
        clock.now += 0.1
        assert endpoint.fetches == 2
        assert keys.find("unknown") is None
        assert endpoint.fetches == 3

    def test_key_added_within_the_pause_is_found_after_it(
        self, keys: KeySet, endpoint: Endpoint, clock: Clock
    ) -> None:
        keys.find("rsa-1")
        keys.find("unknown")
        endpoint.keys = (shared_ec_key(),)
        clock.now += 29.9
        assert keys.find("ec-1") is None
        clock.now += 0.1
        assert keys.find("ec-1") is not None

    def test_known_keys_are_used_while_fetches_fail(self, keys: KeySet, endpoint: Endpoint) -> None:
        keys.find("rsa-1")
        endpoint.keys = None
        with pytest.raises(KeysUnavailable):
            keys.find("unknown")
        assert keys.find("rsa-1") is not None

    def test_unknown_kids_are_undecided_after_a_failed_fetch_until_the_pause_ends(
        self, keys: KeySet, endpoint: Endpoint, clock: Clock
    ) -> None:
        keys.find("rsa-1")
        good, endpoint.keys = endpoint.keys, None
        for _ in range(10):
            with pytest.raises(KeysUnavailable):
                keys.find("unknown")
        assert endpoint.fetches == 2
        endpoint.keys = good
        clock.now += 30
        assert keys.find("unknown") is None
        assert keys.find("another") is None
        assert endpoint.fetches == 3

    def test_removed_key_is_refused_after_the_next_fetch(self, keys: KeySet, endpoint: Endpoint) -> None:
        keys.find("rsa-1")
        endpoint.keys = (shared_ec_key(),)
        keys.find("ec-1")
        assert keys.find("rsa-1") is None

    def test_fetch_without_a_key_set_keeps_the_keys(self, clock: Clock) -> None:
        documents = iter([key_set(shared_rsa_key().jwk()), b"garbage"])
        keys = KeySet(lambda: next(documents), clock)
        keys.find("rsa-1")
        with pytest.raises(KeysUnavailable):
            keys.find("unknown")
        assert keys.find("rsa-1") is not None


class TestThreads:
    THREADS = 8

    def find_in_threads(self, fetch: Callable[[], bytes]) -> list[Any]:
        """Let all threads look up one key; the fetch lasts until each of them waits for it."""
        asked: set[int] = set()
        all_asked = threading.Event()

        def clock() -> float:
            asked.add(threading.get_ident())
            if len(asked) == self.THREADS:
                all_asked.set()
            return 1_800_000_000.0

        def slow_fetch() -> bytes:
            assert all_asked.wait(10)
            return fetch()

        keys = KeySet(slow_fetch, clock)
        start = threading.Barrier(self.THREADS)

        def ask() -> Any:
            start.wait(10)
            try:
                return keys.find("rsa-1")
            except KeysUnavailable as error:
                return error

        with ThreadPoolExecutor(self.THREADS) as pool:
            return [future.result(20) for future in [pool.submit(ask) for _ in range(self.THREADS)]]

    def test_one_thread_fetches_for_all(self, endpoint: Endpoint) -> None:
        results = self.find_in_threads(endpoint)
        assert endpoint.fetches == 1
        assert len({id(key) for key in results}) == 1
        assert results[0].key_id == "rsa-1"

    def test_threads_that_wait_for_a_failed_fetch_share_the_failure(self, endpoint: Endpoint) -> None:
        endpoint.keys = None
        results = self.find_in_threads(endpoint)
        assert endpoint.fetches == 1
        assert all(isinstance(result, KeysUnavailable) for result in results)
