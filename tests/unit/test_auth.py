"""Authentication by bearer token, and authorization by scope."""

import base64
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.auth import Principal, TokenVerifier, issue_development_token
from gateway.errors import Forbidden, Unauthorized
from gateway.services.plan_changes.admission import UNCOUNTED
from gateway.services.plan_table.attribution import USAGE
from tests.support.config import DEVELOPMENT_SECRET, config
from tests.unit.tokens import CONFIG, VERIFIER, claims, principal_of, refused, token


def test_a_valid_token_identifies_the_caller() -> None:
    assert principal_of(token()) == Principal(
        subject="user_1",
        organization_id="org_1",
        scopes=frozenset({"billing:read", "billing:write"}),
        name="Acme",
        email="owner@acme.example",
        currency=None,
    )


def test_a_development_token_is_valid_for_a_day() -> None:
    now = datetime.now(UTC)
    found = principal_of(issue_development_token(CONFIG, "org_1", now, scopes=("billing:read",), name="Acme"))
    assert found == Principal(
        subject="development",
        organization_id="org_1",
        scopes=frozenset({"billing:read"}),
        name="Acme",
        email=None,
        currency=None,
    )
    principal_of(issue_development_token(CONFIG, "org_1", now - timedelta(hours=23)))
    assert "expired" in refused(issue_development_token(CONFIG, "org_1", now - timedelta(hours=25)))


def refuse(*_: object, **__: object) -> NoReturn:
    """Verify a token with a key that has not signed it."""
    raise jwt.InvalidSignatureError


@pytest.mark.parametrize(("lifetime", "remembered"), [(300, 59), (30, 29)])
def test_a_verified_token_is_remembered_until_it_expires(
    monkeypatch: pytest.MonkeyPatch, lifetime: int, remembered: int
) -> None:
    now, verifier = int(time.time()), TokenVerifier(CONFIG)
    header = f"Bearer {token(exp=now + lifetime)}"
    found = verifier.verify(header)
    monkeypatch.setattr(jwt, "decode", refuse)
    monkeypatch.setattr("gateway.auth.time.time", lambda: now + remembered)
    assert verifier.verify(header) is found
    monkeypatch.setattr("gateway.auth.time.time", lambda: now + remembered + 2)
    with pytest.raises(Unauthorized):
        verifier.verify(header)


def test_the_development_issuer_can_be_disabled() -> None:
    off = config(jwks_url="https://id.example/jwks.json", jwt_development_secret=None)
    with pytest.raises(ValueError, match="GATEWAY_JWT_DEVELOPMENT_SECRET"):
        issue_development_token(off, "org_1", datetime.now(UTC))


def test_an_expired_token_is_refused_as_expired() -> None:
    assert "expired" in refused(token(exp=datetime.now(UTC) - timedelta(seconds=1)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "somebody"},
        {"iss": None},
        {"aud": "other"},
        {"aud": ["other"]},
        {"aud": None},
        {"aud": "quote"},
        {"exp": None},
        {"exp": "soon"},
        {"sub": None},
        {"sub": 5},
        {"nbf": datetime(2100, 1, 1, tzinfo=UTC)},
        {"iat": datetime(2100, 1, 1, tzinfo=UTC)},
    ],
)
def test_a_token_with_wrong_claims_is_refused(wrong: dict[str, Any]) -> None:
    assert refused(token(**wrong)) == "The token is not valid."


@pytest.mark.parametrize("subject", [*UNCOUNTED, f"{USAGE}\0"])
def test_a_token_in_the_name_of_the_gateway_is_refused(subject: str) -> None:
    assert refused(token(sub=subject)) == "The token's subject is reserved."


def test_a_token_for_several_audiences_is_accepted() -> None:
    assert principal_of(token(aud=["other", "konnect-billing"])).subject == "user_1"


def test_a_token_signed_with_another_secret_is_refused() -> None:
    refused(token("another secret, also of 32 bytes and more"))


def test_an_unsigned_token_is_refused() -> None:
    refused(token("", "none"))
    refused(token().rsplit(".", 1)[0] + ".")


def test_a_token_with_another_algorithm_is_refused() -> None:
    refused(token(DEVELOPMENT_SECRET * 2, "HS512"))
    refused(jwt.encode(claims(), DEVELOPMENT_SECRET * 2, "HS384"))


def test_a_token_altered_after_signing_is_refused() -> None:
    head, _, signature = token().split(".")
    body = base64.urlsafe_b64encode(json.dumps({"organization_id": "org_2"}).encode()).rstrip(b"=").decode()
    refused(f"{head}.{body}.{signature}")


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic abc", "Bearer\tabc", "abc", "Token abc"])
def test_a_header_without_a_bearer_token_is_refused(header: str | None) -> None:
    with pytest.raises(Unauthorized) as caught:
        VERIFIER.verify(header)
    assert caught.value.headers == {"WWW-Authenticate": "Bearer"}


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_case_insensitive(scheme: str) -> None:
    assert VERIFIER.verify(f"{scheme} {token()}").subject == "user_1"


def test_a_token_that_is_not_unicode_is_refused() -> None:
    refused("\ud800")


def test_a_header_with_two_tokens_is_refused() -> None:
    refused(f"{token()} {token()}")


@given(st.text(max_size=60) | st.lists(st.sampled_from([".", "e30", "eyJhbGciOiJIUzI1NiJ9", "é", "\0"])).map("".join))
def test_a_garbage_header_is_refused_without_a_crash(header: str) -> None:
    for each in (header, f"Bearer {header}"):
        with pytest.raises(Unauthorized):
            VERIFIER.verify(each)


def test_a_scope_grants_only_its_own_access() -> None:
    found = principal_of(token(scope="billing:read"))
    assert found.require("billing:read") == "org_1"
    with pytest.raises(Forbidden, match="billing:write"):
        found.require("billing:write")


@pytest.mark.parametrize("scope", [None, "", "billing", "billing:reader", "BILLING:READ", ["billing:read"], 5, {}])
def test_a_missing_scope_grants_nothing(scope: Any) -> None:
    with pytest.raises(Forbidden):
        principal_of(token(scope=scope)).require("billing:read")


@pytest.mark.parametrize(
    "organization",
    [None, "", "org 1", "org/1", "../org_1", "org_1\n", "örg", "o" * 129, 5, True, ["org_1"], {"id": "org_1"}],
)
def test_a_missing_or_malformed_organization_is_refused(organization: Any) -> None:
    with pytest.raises(Forbidden, match="names no organization"):
        principal_of(token(organization_id=organization)).require("billing:read")


@pytest.mark.parametrize("organization", ["o", "org_1", "a.b:c-D_9", "o" * 128])
def test_a_well_formed_organization_is_accepted(organization: str) -> None:
    assert principal_of(token(organization_id=organization)).require("billing:read") == organization


def test_invalid_names_and_nuls_are_dropped() -> None:
    found = principal_of(token(organization_name=5, email="a\0@acme.example"))
    assert (found.name, found.email) == (None, "a@acme.example")


@pytest.mark.parametrize(
    "email",
    ["nobody", "", " ", "a@", "Ada <ada@acme.example>", "a@acme.example, b@acme.example", f"{'a' * 510}@b.example"],
)
def test_an_email_that_billing_details_would_refuse_is_dropped(email: str) -> None:
    assert principal_of(token(email=email)).email is None
