"""Settings: frozen, typed, read once from the environment. A missing or nonsensical value stops the start."""

import re
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Self

import psycopg
from environs import Env, EnvError, ValidationError, validate
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

STRIPE_KEY = re.compile(r"\A(?:sk|rk)_(?:live|test)_\S+\Z")
HTTP_URL = re.compile(r"\Ahttps?://[^\s/]+\S*\Z")
WEBHOOK_SECRET = re.compile(r"\Awhsec_\S+\Z")
POSTGRES_URL = re.compile(r"\Apostgres(?:ql)?://\S+\Z")
LOCAL_URL = re.compile(r"\Ahttp://(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])(?::\d+)?(?:/\S*)?\Z")
# 24 bytes or more in base64, as Standard Webhooks asks for
SIGNING_SECRET = re.compile(r"\Awhsec_(?:[A-Za-z0-9+/]{4}){8,22}(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?\Z")
WEBHOOK_TOLERANCE = timedelta(minutes=5)  # Stripe's default; here it bounds the past and the future alike
WEBHOOK_MAX_BYTES = 256 * 1024
QUOTE_LIFETIME = timedelta(minutes=15)


class ConfigError(Exception):
    """A setting is missing or makes no sense; the message names it and says what is expected."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that differs between one deployment and the next. Secrets stay out of the repr."""

    database_url: str = field(repr=False)
    stripe_secret_key: str = field(repr=False)
    stripe_publishable_key: str = ""
    stripe_webhook_secrets: tuple[str, ...] = field(default=(), repr=False)
    stripe_api_base: str | None = None
    stripe_calls_per_second: int = 20
    catalog: Path | None = None
    """The plans that are sold; None: the catalog.toml that comes with the gateway."""
    public_url: str | None = None
    """Where the gateway is reached from outside, without a path: by it its webhook endpoint is found at Stripe."""
    sales_webhook_url: str | None = field(default=None, repr=False)
    """Where inquiries are handed on to. It may itself hold a secret."""
    sales_webhook_secret: str | None = field(default=None, repr=False)
    jwt_issuer: str = "konnect"
    jwt_audience: str = "konnect-billing"
    jwks_url: str | None = None
    jwt_development_secret: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if (self.jwks_url is None) == (self.jwt_development_secret is None):
            raise ConfigError(
                "Set either GATEWAY_JWKS_URL (tokens of your identity provider) or "
                "GATEWAY_JWT_DEVELOPMENT_SECRET (development only), and only one of the two."
            )
        if self.jwt_development_secret is not None and self.livemode:
            raise ConfigError("GATEWAY_JWT_DEVELOPMENT_SECRET cannot go with a live Stripe key.")
        if not all(WEBHOOK_SECRET.match(secret) for secret in self.stripe_webhook_secrets):
            raise ConfigError("STRIPE_WEBHOOK_SECRETS: each secret starts with whsec_.")

        self.check_sales_webhook()

    def check_sales_webhook(self) -> None:
        """What is sent there is personal: signed always, and in the open on this machine only. Raises ConfigError."""
        if (self.sales_webhook_url is None) != (self.sales_webhook_secret is None):
            raise ConfigError("GATEWAY_SALES_WEBHOOK_URL and GATEWAY_SALES_WEBHOOK_SECRET go together.")
        url = self.sales_webhook_url
        if url is not None and not url.startswith("https://") and not LOCAL_URL.match(url):
            raise ConfigError("GATEWAY_SALES_WEBHOOK_URL must begin with https://, unless it is on this machine.")

    @property
    def livemode(self) -> bool:
        """Whether the Stripe key is a live one: events of the other mode are never applied."""
        return "_live_" in self.stripe_secret_key[:8]

    @classmethod
    def from_environment(cls) -> Self:
        """Read the settings; raises ConfigError naming every one that is missing or malformed, all at once."""
        env = Env(eager=False)
        database_url = env.str("GATEWAY_DATABASE_URL", validate=is_address_of_a_database)
        stripe_secret_key = env.str(
            "STRIPE_SECRET_KEY", validate=matches(STRIPE_KEY, "sk_test_…, sk_live_…, rk_test_… or rk_live_…")
        )
        stripe_publishable_key = env.str("STRIPE_PUBLISHABLE_KEY", "")
        webhook_secrets: list[str] = env.list("STRIPE_WEBHOOK_SECRETS", [])
        stripe_api_base = env.str("STRIPE_API_BASE", None, validate=matches(HTTP_URL, "http://… or https://…"))
        calls_per_second = env.int("GATEWAY_STRIPE_CALLS_PER_SECOND", 20, validate=validate.Range(min=1, max=1000))
        catalog: Path | None = env.path("GATEWAY_CATALOG", None)
        public_url = env.str("GATEWAY_PUBLIC_URL", None, validate=matches(HTTP_URL, "http://… or https://…"))
        sales_url = env.str("GATEWAY_SALES_WEBHOOK_URL", None, validate=matches(HTTP_URL, "https://…"))
        sales_secret = env.str(
            "GATEWAY_SALES_WEBHOOK_SECRET",
            None,
            validate=matches(SIGNING_SECRET, "whsec_… with 24 bytes or more in base64"),
        )
        jwt_issuer = env.str("GATEWAY_JWT_ISSUER", "konnect", validate=validate.Length(min=1))
        jwt_audience = env.str("GATEWAY_JWT_AUDIENCE", "konnect-billing", validate=validate.Length(min=1))
        jwks_url = env.str("GATEWAY_JWKS_URL", None, validate=matches(HTTP_URL, "http://… or https://…"))
        development_secret = env.str("GATEWAY_JWT_DEVELOPMENT_SECRET", None, validate=validate.Length(min=32))
        try:
            env.seal()
        except EnvError as error:
            raise ConfigError(in_words(error)) from error
        return cls(
            database_url=database_url,
            stripe_secret_key=stripe_secret_key,
            stripe_publishable_key=stripe_publishable_key,
            stripe_webhook_secrets=tuple(secret.strip() for secret in webhook_secrets),
            stripe_api_base=stripe_api_base,
            stripe_calls_per_second=calls_per_second,
            catalog=catalog,
            public_url=public_url,
            sales_webhook_url=sales_url,
            sales_webhook_secret=sales_secret,
            jwt_issuer=jwt_issuer,
            jwt_audience=jwt_audience,
            jwks_url=jwks_url,
            jwt_development_secret=development_secret,
        )


def matches(pattern: re.Pattern[str], example: str) -> validate.Regexp:
    """A check that says what is expected, and never what was given: it may be a secret."""
    return validate.Regexp(pattern, error=f"must look like {example}")


def is_address_of_a_database(url: str) -> None:
    """A check that both who read the address take it: SQLAlchemy minds the port, and libpq the parameters."""
    try:
        make_url(url)
        conninfo_to_dict(url)
        readable = POSTGRES_URL.match(url) is not None
    except (ValueError, ArgumentError, psycopg.ProgrammingError):
        readable = False  # their own words would quote what was given
    if not readable:
        raise ValidationError("must look like postgresql://…, with a port that is a number and parameters of libpq's")


def in_words(error: EnvError) -> str:
    """One line for each setting."""
    messages: dict[str, list[str]] = getattr(error, "error_messages", {})
    return "the environment is not right.\n" + "\n".join(
        f"  {name}: {' '.join(said)}" for name, said in messages.items()
    )
