"""The configuration refuses invalid settings and names them, but shows no secret."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.config import Config, ConfigError, Need
from tests.support.config import config

SECRET = "correct-horse-battery-staple-very-secret"
DATABASE = f"postgresql://gateway:{SECRET}@db.example/gateway"
KEY = f"sk_test_{SECRET}"
SIGNING_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
GOOD = {"GATEWAY_DATABASE_URL": DATABASE, "STRIPE_SECRET_KEY": KEY, "GATEWAY_JWT_DEVELOPMENT_SECRET": SECRET}
PRODUCTION = {
    "GATEWAY_DATABASE_URL": DATABASE,
    "STRIPE_SECRET_KEY": f"sk_live_{SECRET}",
    "GATEWAY_JWKS_URL": "https://id.example/jwks.json",
}


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("GATEWAY_", "STRIPE_")):
            monkeypatch.delenv(name)


def read(monkeypatch: pytest.MonkeyPatch, settings: Mapping[str, str]) -> Config:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return Config.from_environment((Need.DATABASE, Need.STRIPE, Need.TOKENS))


def refusal(monkeypatch: pytest.MonkeyPatch, settings: Mapping[str, str]) -> str:
    with pytest.raises(ConfigError) as caught:
        read(monkeypatch, settings)
    message = str(caught.value)
    assert SECRET not in message
    return message


def test_the_required_settings_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    found = read(monkeypatch, GOOD)
    assert found == Config(database_url=DATABASE, stripe_secret_key=KEY, jwt_development_secret=SECRET)
    assert (found.jwt_issuer, found.jwt_audience) == ("konnect", "konnect-billing")
    assert (found.stripe_webhook_secrets, found.stripe_api_base, found.jwks_url) == ((), None, None)


def test_every_setting_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    more = {
        "STRIPE_PUBLISHABLE_KEY": "pk_live_1",
        "STRIPE_WEBHOOK_SECRETS": "whsec_new, whsec_old",
        "STRIPE_API_BASE": "http://127.0.0.1:12111",
        "GATEWAY_PUBLIC_URL": "https://billing.example",
        "GATEWAY_SALES_WEBHOOK_URL": "https://crm.example/inquiries?token=x",
        "GATEWAY_SALES_WEBHOOK_SECRET": SIGNING_SECRET,
        "GATEWAY_UI_ORIGINS": "https://konnect.example, http://localhost:8080",
        "GATEWAY_BILLING_THEME": "/etc/gateway/theme",
        "GATEWAY_JWT_ISSUER": "https://id.example/",
        "GATEWAY_JWT_AUDIENCE": "billing",
    }
    assert read(monkeypatch, PRODUCTION | more) == Config(
        database_url=DATABASE,
        stripe_secret_key=f"sk_live_{SECRET}",
        stripe_publishable_key="pk_live_1",
        stripe_webhook_secrets=("whsec_new", "whsec_old"),
        stripe_api_base="http://127.0.0.1:12111",
        public_url="https://billing.example",
        sales_webhook_url="https://crm.example/inquiries?token=x",
        sales_webhook_secret=SIGNING_SECRET,
        ui_origins=("https://konnect.example", "http://localhost:8080"),
        billing_theme=Path("/etc/gateway/theme"),
        jwt_issuer="https://id.example/",
        jwt_audience="billing",
        jwks_url="https://id.example/jwks.json",
    )


def test_one_error_names_all_missing_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    message = refusal(monkeypatch, {})
    assert "GATEWAY_DATABASE_URL" in message
    assert "STRIPE_SECRET_KEY" in message


def test_one_error_names_all_invalid_settings_without_values(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {
        "GATEWAY_DATABASE_URL": f"mysql://{SECRET}",
        "STRIPE_SECRET_KEY": f"pk_test_{SECRET}",
        "GATEWAY_JWT_DEVELOPMENT_SECRET": SECRET[:31],
    }
    message = refusal(monkeypatch, wrong)
    assert SECRET[:31] not in message
    for name in wrong:
        assert name in message


@pytest.mark.parametrize(
    "key", ["", "sk_", "sk_test_", "pk_test_1", "pk_live_1", "sk_prod_1", "sk_test_a b", "sk_test_1\n", " sk_test_1"]
)
def test_an_invalid_stripe_key_is_refused(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    assert "STRIPE_SECRET_KEY" in refusal(monkeypatch, GOOD | {"STRIPE_SECRET_KEY": key})


@pytest.mark.parametrize("prefix", ["sk_live_", "rk_test_", "pk_", "pk_prod_"])
def test_a_publishable_key_is_no_other_key(monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    assert "STRIPE_PUBLISHABLE_KEY" in refusal(monkeypatch, GOOD | {"STRIPE_PUBLISHABLE_KEY": prefix + SECRET})


@pytest.mark.parametrize(
    "url",
    [
        *("", "postgresql", "sqlite:///x", "postgresql+psycopg://h/d", "postgresql://h/d\n", "postgresql://h/\udcff"),
        *(
            f"postgresql://h:{SECRET}/d",
            f"postgresql://a:1,b:{SECRET}/d",
            f"postgresql://h/d?{SECRET}=x",
            "postgresql://[::1/d",
            "postgresql://h/%zz",
        ),
    ],
)
def test_an_invalid_database_url_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    assert "GATEWAY_DATABASE_URL" in refusal(monkeypatch, GOOD | {"GATEWAY_DATABASE_URL": url})


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_both_postgresql_url_schemes_are_accepted(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    url = f"{scheme}://h/d?sslmode=require"
    assert read(monkeypatch, GOOD | {"GATEWAY_DATABASE_URL": url}).database_url == url


def test_database_url_may_name_several_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql://u@a:5432,b:5433/d"
    assert read(monkeypatch, GOOD | {"GATEWAY_DATABASE_URL": url}).database_url == url


@pytest.mark.parametrize(
    "settings", [GOOD | PRODUCTION, {name: PRODUCTION[name] for name in PRODUCTION if name != "GATEWAY_JWKS_URL"}]
)
def test_exactly_one_token_issuer_is_required(monkeypatch: pytest.MonkeyPatch, settings: Mapping[str, str]) -> None:
    message = refusal(monkeypatch, settings)
    assert "GATEWAY_JWKS_URL" in message
    assert "GATEWAY_JWT_DEVELOPMENT_SECRET" in message


@pytest.mark.parametrize("kind", ["sk", "rk"])
def test_the_development_issuer_is_refused_with_a_live_key(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    message = refusal(monkeypatch, GOOD | {"STRIPE_SECRET_KEY": f"{kind}_live_{SECRET}"})
    assert "GATEWAY_JWT_DEVELOPMENT_SECRET" in message


@pytest.mark.parametrize("secrets", ["sec_1", "whsec_1,sec_2", "whsec_1,", ",whsec_1", "WHSEC_1", SECRET])
def test_a_webhook_secret_has_stripes_prefix(monkeypatch: pytest.MonkeyPatch, secrets: str) -> None:
    assert "STRIPE_WEBHOOK_SECRETS" in refusal(monkeypatch, GOOD | {"STRIPE_WEBHOOK_SECRETS": secrets})


@pytest.mark.parametrize(
    ("key", "livemode"),
    [
        ("sk_test_1", False),
        ("rk_test_1", False),
        ("sk_live_1", True),
        ("rk_live_1", True),
        ("sk_test_live_1", False),
        ("rk_live_test_1", True),
    ],
)
def test_the_key_determines_the_mode(key: str, *, livemode: bool) -> None:
    jwks = {"jwks_url": "https://id.example/jwks.json", "jwt_development_secret": None}
    assert config(stripe_secret_key=key, **jwks).livemode is livemode


def test_the_repr_shows_no_secret() -> None:
    shown = repr(
        config(
            database_url=DATABASE,
            stripe_secret_key=KEY,
            stripe_webhook_secrets=(f"whsec_{SECRET}",),
            jwt_development_secret=SECRET,
        )
    )
    assert "konnect-billing" in shown
    assert SECRET not in shown


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://crm.example/x",
            "http://127.0.0.1.crm.example/x",
            "http://localhost@crm.example/",
            "ftp://crm.example/",
        ),
        *("crm.example", "https://", "http://localhost.crm.example/", "https://crm.example/\n", "http://10.0.0.1/"),
    ],
)
def test_the_sales_webhook_requires_https(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    sales = {"GATEWAY_SALES_WEBHOOK_URL": url, "GATEWAY_SALES_WEBHOOK_SECRET": SIGNING_SECRET}
    message = refusal(monkeypatch, GOOD | sales)
    assert "GATEWAY_SALES_WEBHOOK_URL" in message
    assert "crm" not in message


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/x", "http://localhost/x", "http://[::1]:9", "https://crm.example/x"]
)
def test_the_sales_webhook_may_use_http_on_loopback(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    sales = {"GATEWAY_SALES_WEBHOOK_URL": url, "GATEWAY_SALES_WEBHOOK_SECRET": SIGNING_SECRET}
    assert read(monkeypatch, GOOD | sales).sales_webhook_url == url


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "whsec_short", SIGNING_SECRET[6:], SIGNING_SECRET + "A", SIGNING_SECRET + "\n"]
)
def test_an_invalid_sales_webhook_secret_is_refused(monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    sales = {"GATEWAY_SALES_WEBHOOK_URL": "https://crm.example/x", "GATEWAY_SALES_WEBHOOK_SECRET": secret}
    assert "GATEWAY_SALES_WEBHOOK_SECRET" in refusal(monkeypatch, GOOD | sales)


@pytest.mark.parametrize("one", ["GATEWAY_SALES_WEBHOOK_URL", "GATEWAY_SALES_WEBHOOK_SECRET"])
def test_sales_webhook_url_and_secret_require_each_other(monkeypatch: pytest.MonkeyPatch, one: str) -> None:
    both = {"GATEWAY_SALES_WEBHOOK_URL": "https://crm.example/x", "GATEWAY_SALES_WEBHOOK_SECRET": SIGNING_SECRET}
    assert "together, or neither" in refusal(monkeypatch, GOOD | {one: both[one]})


def test_missing_and_malformed_settings_are_reported_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_PUBLIC_URL", "no address")
    with pytest.raises(ConfigError) as caught:
        Config.from_environment()
    names = ("GATEWAY_DATABASE_URL", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRETS", "GATEWAY_JWKS_URL")
    assert [name for name in (*names, "GATEWAY_PUBLIC_URL: must look like") if name not in str(caught.value)] == []


@pytest.mark.parametrize(
    "origin", ["*", "https://*.example", "https://a.example/", "a.example", "null", "https://A.example"]
)
def test_pattern_or_address_is_no_origin(monkeypatch: pytest.MonkeyPatch, origin: str) -> None:
    assert "GATEWAY_UI_ORIGINS" in refusal(monkeypatch, GOOD | {"GATEWAY_UI_ORIGINS": origin})
