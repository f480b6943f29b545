"""The authorizer of the real app, over a real key server, behind Chalice's own local gateway."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from chalice.config import Config
from chalice.local import ForbiddenError, LocalGateway, LocalGatewayAuthorizer, NotAuthorizedError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import app
from chalicelib import bootstrap
from chalicelib.errors import KeysUnavailable, SettingsError
from chalicelib.handlers import authorizer
from tests.support.calls import all_calls, is_read
from tests.support.issuer import AUDIENCE, ISSUER, ec_key, key_set, rsa_key, shared_ec_key, shared_rsa_key
from tests.support.key_server import (
    Behaviour,
    KeyServer,
    disconnecting,
    responding,
    serving,
    silent,
    trickling,
)

ARN = "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/live/GET/products"
PUBLISHED = responding(key_set(shared_rsa_key().jwk(), shared_ec_key().jwk()))

Configure = Callable[..., None]


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Iterator[Configure]:
    """Sets issuer, audience and JWKS URL as a new process would find them."""

    def reset() -> None:
        bootstrap.auth.cache_clear()
        bootstrap.verifier.cache_clear()

    def configure(jwks_url: str, issuer: str = ISSUER, audience: str = AUDIENCE) -> None:
        monkeypatch.setenv("AUTH_ISSUER", issuer)
        monkeypatch.setenv("AUTH_AUDIENCE", audience)
        monkeypatch.setenv("AUTH_JWKS_URL", jwks_url)
        reset()

    yield configure
    reset()


@pytest.fixture
def server(configure: Configure) -> Iterator[KeyServer]:
    with serving(PUBLISHED) as server:
        configure(server.url)
        yield server


def bearer(token: str) -> str:
    return f"Bearer {token}"


def unauthorized() -> pytest.RaisesExc[Exception]:
    """The error that API Gateway turns into 401: it needs exactly this message."""
    return pytest.raises(
        Exception, check=lambda error: type(error) is Exception and str(error) == "Unauthorized"
    )


def authorize(token: str) -> dict[str, Any]:
    return authorizer.authorize(token, ARN, bootstrap.verifier())


class TestBehindChalicesGateway:
    def authorize(self, method: str, path: str, token: str | None) -> dict[str, Any]:
        """The handler's authorizer context; raises as the gateway does."""
        gateway = LocalGateway(app.app, Config())
        headers = {} if token is None else {"authorization": bearer(token)}
        event = gateway.event_converter.create_lambda_event(method, path, headers)
        context = gateway._generate_lambda_context()
        event, _ = LocalGatewayAuthorizer(app.app).authorize(path, event, context)
        authorizer: dict[str, Any] = event["requestContext"]["authorizer"]
        return authorizer

    @pytest.mark.parametrize(("method", "path"), all_calls())
    def test_reader_may_make_exactly_the_calls_that_read(
        self, server: KeyServer, method: str, path: str
    ) -> None:
        token = shared_rsa_key().token(scope="inventory:read")
        if is_read(method, path):
            assert self.authorize(method, path, token) == {"principalId": "clerk"}
        else:
            with pytest.raises(ForbiddenError):
                self.authorize(method, path, token)

    @pytest.mark.parametrize(("method", "path"), all_calls())
    def test_writer_may_make_every_call(self, server: KeyServer, method: str, path: str) -> None:
        token = shared_ec_key().token(scope="inventory:write")
        assert self.authorize(method, path, token) == {"principalId": "clerk"}

    @pytest.mark.parametrize(("method", "path"), all_calls())
    def test_caller_without_a_known_scope_may_make_no_call(
        self, server: KeyServer, method: str, path: str
    ) -> None:
        with pytest.raises(ForbiddenError):
            self.authorize(method, path, shared_rsa_key().token(scope="openid"))

    def test_an_access_token_of_cognito_opens_what_its_scopes_name(
        self, server: KeyServer, configure: Configure, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        claims: dict[str, Any] = {
            "aud": None,
            "client_id": AUDIENCE,
            "token_use": "access",
            "scope": "ims/inventory:read",
        }
        token = shared_rsa_key().token(**claims)
        with pytest.raises(ForbiddenError):
            self.authorize("GET", "/products", token)
        monkeypatch.setenv("AUTH_SCOPE_PREFIX", "ims/")
        configure(server.url)
        assert self.authorize("GET", "/products", token) == {"principalId": "clerk"}
        with pytest.raises(ForbiddenError):
            self.authorize("POST", "/products", token)

    @pytest.mark.parametrize(("method", "path"), all_calls())
    def test_call_without_a_token_is_unauthorized(self, server: KeyServer, method: str, path: str) -> None:
        with pytest.raises(NotAuthorizedError):
            self.authorize(method, path, None)
        assert server.requests == 0

    def test_invalid_token_is_unauthorized(self, server: KeyServer) -> None:
        with unauthorized():
            self.authorize("GET", "/products", rsa_key("stranger").token())

    def test_health_needs_no_token(self, server: KeyServer) -> None:
        response = LocalGateway(app.app, Config()).handle_request("GET", "/health", {}, None)
        assert (response["statusCode"], json.loads(response["body"])["status"]) == (200, "ok")

    def test_allowed_call_reaches_its_handler_and_refused_call_does_not(self, server: KeyServer) -> None:
        gateway = LocalGateway(app.app, Config())

        # A body that is refused before any call to AWS.
        def post(token: str) -> Any:
            headers = {"content-type": "application/json", "authorization": bearer(token)}
            return gateway.handle_request("POST", "/products", headers, b"not json")

        response = post(shared_rsa_key().token(scope="inventory:write"))
        assert response["statusCode"] == 400
        with pytest.raises(ForbiddenError):
            post(shared_rsa_key().token())


class TestKeyServer:
    def test_keys_are_fetched_once_for_many_tokens(self, server: KeyServer) -> None:
        for _ in range(3):
            authorize(bearer(shared_rsa_key().token()))
            authorize(bearer(shared_ec_key().token()))
        assert server.requests == 1

    @pytest.mark.parametrize(
        "behave",
        [
            silent,
            trickling(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
            disconnecting,
            responding(b"oops", 500),
            responding(b"", 302, Location="https://issuer.example/keys"),
            responding(b"<html>garbage</html>"),
            responding(b'{"keys": []}'),
            responding(key_set(shared_rsa_key().jwk(), "x" * 150_000)),
        ],
        ids=["silent", "drips", "hangs up", "500", "redirects", "garbage", "empty", "oversized"],
    )
    def test_token_is_accepted_as_soon_as_the_key_server_is_back(
        self, server: KeyServer, behave: Behaviour
    ) -> None:
        token = bearer(shared_rsa_key().token())
        server.behave = behave
        start = time.monotonic()
        with pytest.raises(KeysUnavailable):
            authorize(token)
        assert time.monotonic() - start < 3
        server.behave = PUBLISHED
        assert authorize(token)["policyDocument"]["Statement"][0]["Effect"] == "Allow"

    def test_next_call_retries_a_key_server_that_was_down(self, configure: Configure) -> None:
        with serving(PUBLISHED) as gone:
            configure(gone.url)
        with pytest.raises(KeysUnavailable):
            authorize(bearer(shared_rsa_key().token()))
        with pytest.raises(KeysUnavailable):
            authorize(bearer(shared_rsa_key().token()))

    def test_new_key_of_the_issuer_is_fetched(self, server: KeyServer) -> None:
        authorize(bearer(shared_rsa_key().token()))
        new = ec_key("new")
        server.behave = responding(key_set(new.jwk()))
        authorize(bearer(new.token()))
        with unauthorized():
            authorize(bearer(shared_rsa_key().token()))

    def test_unknown_keys_cause_one_more_request(self, server: KeyServer) -> None:
        authorize(bearer(shared_rsa_key().token()))
        for number in range(20):
            with unauthorized():
                authorize(bearer(ec_key(f"unknown-{number}").token()))
        assert server.requests == 2

    def test_plain_http_beyond_loopback_is_a_settings_error(self, configure: Configure) -> None:
        configure("http://issuer.example/jwks.json")
        with pytest.raises(SettingsError, match="AUTH_JWKS_URL"):
            authorize(bearer(shared_rsa_key().token()))

    def test_empty_settings_deny_every_call_and_fetch_nothing(
        self, server: KeyServer, configure: Configure
    ) -> None:
        configure(server.url, issuer="", audience="")
        with unauthorized():
            authorize(bearer(shared_rsa_key().token()))
        assert server.requests == 0

    @settings(
        deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
    )
    @given(st.text() | st.text().map("Bearer ".__add__))
    def test_arbitrary_text_as_a_token_is_unauthorized(self, server: KeyServer, text: str) -> None:
        with unauthorized():
            authorize(text)


class TestLogs:
    @pytest.fixture
    def logged(self, caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], str]]:
        """The whole log, as text."""
        caplog.set_level(logging.DEBUG)
        logger = logging.getLogger("ims")
        logger.addHandler(caplog.handler)
        yield lambda: "\n".join(str(vars(record)) for record in caplog.records)
        logger.removeHandler(caplog.handler)

    def test_refusal_is_logged_with_its_reason_and_without_the_token_or_its_claims(
        self, server: KeyServer, logged: Callable[[], str]
    ) -> None:
        token = shared_rsa_key().token(exp=1, sub="secret-subject", email="secret-mail")
        with unauthorized() as refusal:
            authorize(bearer(token))
        assert "ExpiredSignatureError" in logged()
        assert "secret" not in logged()
        assert not [part for part in token.split(".") if part in logged()]
        assert refusal.value.__cause__ is None
        assert refusal.value.__suppress_context__

    def test_token_without_scopes_is_logged_without_its_caller(
        self, server: KeyServer, logged: Callable[[], str]
    ) -> None:
        authorize(bearer(shared_rsa_key().token(scope="secret-scope", sub="secret-subject")))
        assert "token opens nothing" in logged()
        assert "secret" not in logged()

    def test_token_that_could_not_be_verified_is_logged_with_the_reason(
        self, server: KeyServer, logged: Callable[[], str]
    ) -> None:
        server.behave = responding(b"", 503)
        with pytest.raises(KeysUnavailable):
            authorize(bearer(shared_rsa_key().token(sub="secret-subject")))
        assert "status 503" in logged()
        assert "secret" not in logged()
