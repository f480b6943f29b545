import hashlib
import hmac
import json
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.auth.keys import KeySet
from chalicelib.auth.verifier import Caller, Verifier
from chalicelib.errors import KeysUnavailable, Unauthenticated
from chalicelib.settings import AuthSettings
from tests.support.issuer import (
    AUDIENCE,
    ISSUER,
    SigningKey,
    ec_key,
    key_set,
    rsa_key,
    segment,
    shared_ec_key,
    shared_rsa_key,
)

SETTINGS = AuthSettings.load({"AUTH_ISSUER": ISSUER, "AUTH_AUDIENCE": AUDIENCE})
PUBLISHED = key_set(shared_rsa_key().jwk(), shared_ec_key().jwk())


def no_fetch() -> bytes:
    raise AssertionError("no key should have been asked for")


VERIFIER = Verifier(SETTINGS, KeySet(lambda: PUBLISHED))


def verify(token: str) -> Caller:
    return VERIFIER.verify(f"Bearer {token}")


def refused(token: str, why: str) -> None:
    with pytest.raises(Unauthenticated, match=why):
        verify(token)


def parts(token: str) -> list[str]:
    return token.split(".")


both_kinds = pytest.mark.parametrize("key", [shared_rsa_key(), shared_ec_key()], ids=["RS256", "ES256"])


class TestValidTokens:
    @both_kinds
    def test_valid_token_names_its_caller(self, key: SigningKey) -> None:
        assert verify(key.token()) == Caller("clerk", frozenset({"inventory:read"}))

    @pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
    def test_scheme_is_accepted_in_any_case(self, scheme: str) -> None:
        assert VERIFIER.verify(f"{scheme} {shared_rsa_key().token()}").subject == "clerk"

    def test_several_spaces_after_the_scheme_are_accepted(self) -> None:
        assert VERIFIER.verify(f"Bearer   {shared_rsa_key().token()}").subject == "clerk"

    @pytest.mark.parametrize("audience", [AUDIENCE, [AUDIENCE], ["other", AUDIENCE]])
    def test_audience_may_be_one_or_several(self, audience: Any) -> None:
        assert verify(shared_rsa_key().token(aud=audience)).subject == "clerk"

    @pytest.mark.parametrize("claim", ["scope", "scp"])
    @pytest.mark.parametrize(
        "value",
        ["openid inventory:read inventory:write", ["openid", "inventory:read", "inventory:write"]],
        ids=["string", "list"],
    )
    def test_scopes_are_read_from_either_claim_in_either_form(self, claim: str, value: Any) -> None:
        token = shared_rsa_key().token(**{"scope": None, claim: value})
        assert verify(token).scopes == {"openid", "inventory:read", "inventory:write"}

    def test_scopes_of_both_claims_are_added_up(self) -> None:
        assert verify(shared_rsa_key().token(scope="a", scp=["b"])).scopes == {"a", "b"}

    @pytest.mark.parametrize(
        "value", [None, 7, True, {"inventory:read": 1}, [], [7, None, ["inventory:read"]]]
    )
    def test_token_without_readable_scopes_is_valid_and_has_none(self, value: Any) -> None:
        assert verify(shared_rsa_key().token(scope=value)).scopes == frozenset()

    def test_subject_may_have_256_characters(self) -> None:
        assert verify(shared_rsa_key().token(sub="é" * 256)).subject == "é" * 256

    def test_header_may_name_a_type(self) -> None:
        assert verify(shared_rsa_key().token({"typ": "at+jwt"})).subject == "clerk"


class TestTime:
    def test_expired_token_is_refused(self) -> None:
        refused(shared_rsa_key().token(exp=int(time.time()) - 31), "ExpiredSignatureError")

    def test_token_that_expired_within_the_leeway_is_valid(self) -> None:
        assert verify(shared_rsa_key().token(exp=int(time.time()) - 20)).subject == "clerk"

    def test_token_that_is_not_yet_valid_is_refused(self) -> None:
        refused(shared_rsa_key().token(nbf=int(time.time()) + 40), "ImmatureSignatureError")

    def test_token_that_becomes_valid_within_the_leeway_is_valid(self) -> None:
        assert verify(shared_rsa_key().token(nbf=int(time.time()) + 20)).subject == "clerk"

    def test_token_issued_in_the_future_is_refused(self) -> None:
        refused(shared_rsa_key().token(iat=int(time.time()) + 40), "ImmatureSignatureError")

    @pytest.mark.parametrize("claim", ["exp", "nbf"])
    @pytest.mark.parametrize("value", ["soon", [], {}, 1e400, float("nan")])
    def test_timestamp_that_is_no_number_is_refused(self, claim: str, value: Any) -> None:
        refused(shared_rsa_key().token(**{claim: value}), "DecodeError")


class TestClaims:
    @pytest.mark.parametrize("issuer", [ISSUER.rstrip("/"), ISSUER + "x", ISSUER.upper(), "", 7, [ISSUER]])
    def test_other_issuer_is_refused(self, issuer: str) -> None:
        refused(shared_rsa_key().token(iss=issuer), "InvalidIssuerError")

    @pytest.mark.parametrize("audience", ["other", ["other"], "IMS", f"{AUDIENCE} other", {AUDIENCE: 1}, [7]])
    def test_other_audience_is_refused(self, audience: Any) -> None:
        refused(shared_rsa_key().token(aud=audience), "InvalidAudienceError")

    @pytest.mark.parametrize("claim", ["exp", "iss", "aud", "sub"])
    def test_token_without_a_required_claim_is_refused(self, claim: str) -> None:
        refused(shared_rsa_key().token(**{claim: None}), "MissingRequiredClaimError")

    @pytest.mark.parametrize("subject", ["", "s" * 257, "two\nlines", "\ud800", "nul\0"])
    def test_subject_that_cannot_be_stored_or_logged_is_refused(self, subject: Any) -> None:
        refused(shared_rsa_key().token(sub=subject), "^sub is")

    @pytest.mark.parametrize("subject", [7, ["clerk"], {"name": "clerk"}])
    def test_subject_that_is_no_string_is_refused(self, subject: Any) -> None:
        refused(shared_rsa_key().token(sub=subject), "InvalidSubjectError")

    @pytest.mark.parametrize("payload", [b"", b"[]", b"null", b'"x"', b"{", b"\xff", b"[" * 4000])
    def test_signed_payload_that_is_no_object_is_refused(self, payload: bytes) -> None:
        refused(shared_rsa_key().signed(payload), "DecodeError")


COGNITO: dict[str, Any] = {"aud": None, "client_id": AUDIENCE, "token_use": "access"}
"""How the claims of Cognito's access tokens differ from the usual ones."""


class TestCognito:
    """https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html"""

    @both_kinds
    def test_an_access_token_of_the_audiences_client_is_valid(self, key: SigningKey) -> None:
        assert verify(key.token(**COGNITO)) == Caller("clerk", frozenset({"inventory:read"}))

    @pytest.mark.parametrize("client_id", ["other", "", AUDIENCE.upper(), [AUDIENCE], 7, {AUDIENCE: 1}])
    def test_another_client_is_refused(self, client_id: Any) -> None:
        refused(shared_rsa_key().token(**COGNITO | {"client_id": client_id}), "InvalidAudienceError")

    @pytest.mark.parametrize("use", ["id", "refresh", "", None, ["access"], True])
    def test_a_token_without_an_audience_has_to_be_an_access_token(self, use: Any) -> None:
        refused(shared_rsa_key().token(**COGNITO | {"token_use": use}), "InvalidAudienceError")

    def test_an_id_token_is_refused_though_its_audience_is_right(self) -> None:
        refused(shared_rsa_key().token(token_use="id"), "^token_use is not access$")

    def test_an_access_token_may_have_an_audience_and_then_that_counts(self) -> None:
        assert verify(shared_rsa_key().token(client_id="other", token_use="access")).subject == "clerk"
        refused(shared_rsa_key().token(**COGNITO | {"aud": "other"}), "InvalidAudienceError")

    @pytest.mark.parametrize("audience", ["", [], {}])
    def test_an_empty_audience_is_not_a_missing_one(self, audience: Any) -> None:
        refused(shared_rsa_key().token(**COGNITO | {"aud": audience}), "Invalid")

    @pytest.mark.parametrize("claim", ["exp", "iss", "client_id", "sub"])
    def test_a_token_without_a_required_claim_is_refused(self, claim: str) -> None:
        refused(shared_rsa_key().token(**COGNITO | {claim: None}), "MissingRequiredClaimError")

    @pytest.mark.parametrize(
        ("claims", "why"),
        [
            ({"exp": 1}, "ExpiredSignatureError"),
            ({"nbf": 9999999999}, "ImmatureSignatureError"),
            ({"iss": "https://other.example"}, "InvalidIssuerError"),
        ],
    )
    def test_the_other_checks_hold_as_for_every_token(self, claims: dict[str, Any], why: str) -> None:
        refused(shared_rsa_key().token(**COGNITO | claims), why)

    def test_a_forged_token_is_refused(self) -> None:
        refused(rsa_key("rsa-1").token(**COGNITO), "InvalidSignatureError")


class TestScopePrefix:
    @pytest.mark.parametrize("prefix", ["ims/", "https://api.example.com/"])
    def test_only_scopes_with_the_prefix_count_and_are_known_without_it(self, prefix: str) -> None:
        environment = {"AUTH_ISSUER": ISSUER, "AUTH_AUDIENCE": AUDIENCE, "AUTH_SCOPE_PREFIX": prefix}
        verifier = Verifier(AuthSettings.load(environment), KeySet(lambda: PUBLISHED))
        scope = f"{prefix}inventory:read inventory:write {prefix}{prefix}inventory:write other/x"
        token = shared_rsa_key().token(**COGNITO, scope=scope)
        assert verifier.verify(f"Bearer {token}").scopes == {"inventory:read", f"{prefix}inventory:write"}

    def test_without_a_prefix_scopes_are_taken_as_they_are(self) -> None:
        token = shared_rsa_key().token(scope="ims/inventory:read")
        assert verify(token).scopes == {"ims/inventory:read"}


class TestForgeries:
    def test_unknown_key_is_refused(self) -> None:
        refused(rsa_key("stranger").token(), "^unknown kid 'stranger'$")

    @both_kinds
    def test_other_key_under_a_known_kid_is_refused(self, key: SigningKey) -> None:
        stranger = rsa_key(key.kid) if key.algorithm == "RS256" else ec_key(key.kid)
        refused(stranger.token(), "InvalidSignatureError")

    @pytest.mark.parametrize(
        ("signer", "named"), [(shared_rsa_key(), shared_ec_key()), (shared_ec_key(), shared_rsa_key())]
    )
    def test_key_verifies_only_the_algorithm_of_its_type(self, signer: SigningKey, named: SigningKey) -> None:
        refused(signer.token({"kid": named.kid}), "InvalidAlgorithmError")

    @pytest.mark.parametrize(
        "alg", ["none", "None", "NONE", "nOnE", "", None, "HS256", "RS384", "PS256", "EdDSA"]
    )
    @pytest.mark.parametrize("signature", ["", "AAAA"])
    def test_other_algorithms_are_refused_before_a_key_is_looked_up(self, alg: Any, signature: str) -> None:
        payload = parts(shared_rsa_key().token())[1]
        token = f"{segment({'alg': alg, 'kid': 'rsa-1'})}.{payload}.{signature}"
        with pytest.raises(Unauthenticated, match=r"^the algorithm is not RS256 or ES256$"):
            Verifier(SETTINGS, KeySet(no_fetch)).verify(f"Bearer {token}")

    @pytest.mark.parametrize("form", ["PEM", "DER", "PKCS1 PEM", "JWK", "modulus"])
    @pytest.mark.parametrize("alg", ["HS256", "RS256"])
    def test_hmac_with_the_public_key_as_secret_is_refused(self, form: str, alg: Any) -> None:
        public = shared_rsa_key().private.public_key()
        secret = {
            "PEM": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            "DER": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
            "PKCS1 PEM": public.public_bytes(Encoding.PEM, PublicFormat.PKCS1),
            "JWK": json.dumps(shared_rsa_key().jwk()).encode(),
            "modulus": shared_rsa_key().jwk()["n"].encode(),
        }[form]
        signing_input = f"{segment({'alg': alg, 'kid': 'rsa-1'})}.{parts(shared_rsa_key().token())[1]}"
        digest = hmac.new(secret, signing_input.encode(), hashlib.sha256).digest()
        refused(f"{signing_input}.{segment(digest)}", "algorithm|InvalidSignatureError")

    @both_kinds
    def test_tampered_payload_is_refused(self, key: SigningKey) -> None:
        header, _, signature = parts(key.token())
        _, payload, _ = parts(key.token(scope="inventory:write"))
        refused(f"{header}.{payload}.{signature}", "InvalidSignatureError")

    @both_kinds
    def test_tampered_header_is_refused(self, key: SigningKey) -> None:
        header = segment({"alg": key.algorithm, "kid": key.kid, "typ": "other"})
        _, payload, signature = parts(key.token())
        refused(f"{header}.{payload}.{signature}", "InvalidSignatureError")

    @both_kinds
    @pytest.mark.parametrize("signature", ["", "AAAA", "A" * 86])
    def test_wrong_signature_is_refused(self, key: SigningKey, signature: str) -> None:
        header, payload, _ = parts(key.token())
        refused(f"{header}.{payload}.{signature}", "InvalidSignatureError")

    def test_key_in_the_token_itself_is_not_used(self) -> None:
        stranger = rsa_key("rsa-1")
        refused(stranger.token({"jwk": stranger.jwk()}), "InvalidSignatureError")

    def test_token_without_a_kid_is_refused_before_a_key_is_looked_up(self) -> None:
        with pytest.raises(Unauthenticated, match=r"^the token has no kid$"):
            Verifier(SETTINGS, KeySet(no_fetch)).verify(f"Bearer {shared_rsa_key().token({'kid': None})}")

    @pytest.mark.parametrize("kid", [1, True, ["rsa-1"], {"rsa-1": 1}])
    def test_kid_that_is_no_string_is_refused(self, kid: Any) -> None:
        header = segment({"alg": "RS256", "kid": kid})
        _, payload, signature = parts(shared_rsa_key().token())
        refused(f"{header}.{payload}.{signature}", "InvalidTokenError")

    @pytest.mark.parametrize("crit", [["exp"], ["b64", "x"], [], "b64", None, [7]])
    def test_critical_header_that_is_not_understood_is_refused(self, crit: Any) -> None:
        header = {"alg": "RS256", "kid": "rsa-1", "crit": crit, "exp": 1, "x": 1, "b64": True}
        signing_input = f"{segment(header)}.{parts(shared_rsa_key().token())[1]}"
        refused(f"{signing_input}.{signature_of(shared_rsa_key(), signing_input)}", "InvalidTokenError")

    def test_detached_payload_is_refused(self) -> None:
        header = {"alg": "RS256", "kid": "rsa-1", "crit": ["b64"], "b64": False}
        signing_input = f"{segment(header)}."
        refused(f"{signing_input}.{signature_of(shared_rsa_key(), signing_input)}", "DecodeError")


def signature_of(key: SigningKey, signing_input: str) -> str:
    from jwt.algorithms import get_default_algorithms

    return segment(get_default_algorithms()[key.algorithm].sign(signing_input.encode(), key.private))


class TestAuthorizationHeader:
    @pytest.mark.parametrize(
        "form",
        [
            "",
            " ",
            "{token}",
            "Bearer",
            "Bearer ",
            "Bearer{token}",
            " Bearer {token}",
            "Bearer {token} ",
            "Bearer\t{token}",
            "Bearer\n{token}",
            "Bearer {token}\n",
            "Basic {token}",
            "Bearer {token} {token}",
            "Bearer {token},{token}",
            "Bearer {token}, Bearer {token}",
            "Bearer Bearer {token}",
            "Token Bearer {token}",
            "Bearer\u00a0{token}",
            "Bearer {token}\u0660",
            "Bearer {token}\u017f",
        ],
    )
    def test_header_that_is_not_one_bearer_token_is_refused(self, form: str) -> None:
        with pytest.raises(Unauthenticated, match=r"^the header is not one bearer token"):
            VERIFIER.verify(form.format(token=shared_rsa_key().token()))

    def test_header_may_have_at_most_8192_characters(self) -> None:
        empty = len(f"Bearer {shared_rsa_key().token(pad='')}")
        fill = (8192 - empty) // 4 * 3
        assert VERIFIER.verify(f"Bearer {shared_rsa_key().token(pad='x' * fill)}").subject == "clerk"
        with pytest.raises(Unauthenticated, match="too long"):
            VERIFIER.verify(f"Bearer {shared_rsa_key().token(pad='x' * (fill + 8))}")

    def test_long_or_odd_kid_is_logged_short_and_in_ascii(self) -> None:
        token = shared_rsa_key().token({"kid": "\né" + "k" * 500})
        with pytest.raises(Unauthenticated) as refusal:
            verify(token)
        assert str(refusal.value) == "unknown kid '\\n\\xe9" + "k" * 62 + "'"


class TestSettingsAndKeys:
    @pytest.mark.parametrize(
        "environ",
        [
            {},
            {"AUTH_ISSUER": ISSUER},
            {"AUTH_AUDIENCE": AUDIENCE},
            {"AUTH_ISSUER": "", "AUTH_AUDIENCE": "", "AUTH_JWKS_URL": "https://issuer.example/keys"},
        ],
    )
    def test_empty_settings_deny_every_token_without_a_fetch(self, environ: dict[str, str]) -> None:
        verifier = Verifier(AuthSettings.load(environ), KeySet(no_fetch))
        with pytest.raises(Unauthenticated, match="is empty"):
            verifier.verify(f"Bearer {shared_rsa_key().token(iss='', aud='')}")

    def test_token_is_undecided_without_keys(self) -> None:
        def down() -> bytes:
            raise KeysUnavailable("down")

        with pytest.raises(KeysUnavailable, match="down"):
            Verifier(SETTINGS, KeySet(down)).verify(f"Bearer {shared_rsa_key().token()}")

    @pytest.mark.parametrize("issuer", ["https://issuer.example", "https://issuer.example/"])
    def test_keys_are_at_the_issuers_url_by_default(self, issuer: str) -> None:
        settings = AuthSettings.load({"AUTH_ISSUER": issuer})
        assert settings.keys_url == "https://issuer.example/.well-known/jwks.json"

    def test_keys_may_be_at_another_url(self) -> None:
        settings = AuthSettings.load({"AUTH_ISSUER": ISSUER, "AUTH_JWKS_URL": "https://keys.example/a"})
        assert settings.keys_url == "https://keys.example/a"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
headers = st.fixed_dictionaries(
    {},
    optional={
        "alg": st.sampled_from(["RS256", "ES256", "none"]) | json_values,
        "kid": st.sampled_from(["rsa-1", "ec-1"]) | json_values,
        "crit": json_values,
        "b64": json_values,
        "typ": json_values,
    },
)
segments = st.one_of(
    headers.map(segment), json_values.map(segment), st.binary(max_size=40).map(segment), st.text(max_size=9)
)
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


class TestArbitraryInput:
    @unhurried
    @given(st.text() | st.text().map("Bearer ".__add__))
    def test_arbitrary_text_is_refused(self, text: str) -> None:
        with pytest.raises(Unauthenticated):
            VERIFIER.verify(text)

    @unhurried
    @given(st.lists(segments, min_size=1, max_size=5))
    def test_arbitrary_tokens_are_refused(self, made_up: list[str]) -> None:
        refused(".".join(made_up), "^[A-Za-z]")

    @unhurried
    @given(
        st.dictionaries(
            st.sampled_from(["exp", "nbf", "iat", "iss", "aud", "sub", "jti", "scp"]), json_values
        )
    )
    def test_arbitrary_signed_claims_are_refused_or_give_a_caller(self, claims: dict[str, Any]) -> None:
        payload = {"iss": ISSUER, "aud": AUDIENCE, "sub": "clerk", "exp": time.time() + 60, **claims}
        token = shared_ec_key().signed(json.dumps(payload).encode())
        try:
            assert verify(token).subject == payload["sub"]
        except Unauthenticated as refusal:
            assert str(refusal)  # noqa: PT017 - both outcomes are right
