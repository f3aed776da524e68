"""Frozen, typed settings, read once from the environment. A missing or malformed value stops the start."""

import os
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Self

import psycopg
from environs import Env, EnvError, ValidationError, validate
from psycopg.conninfo import conninfo_to_dict

STRIPE_KEY = re.compile(r"\A(?:sk|rk)_(?:live|test)_\S+\Z")
# Browsers get this key, so a secret key must not stand in its place.
PUBLISHABLE_KEY = re.compile(r"\A(?:pk_(?:live|test)_\S+)?\Z")
HTTP_URL = re.compile(r"\Ahttps?://[^\s/]+\S*\Z")
ORIGIN = re.compile(r"\Ahttps?://[a-z0-9.-]+(?::\d+)?\Z")
WEBHOOK_SECRET = re.compile(r"\Awhsec_\S+\Z")
POSTGRES_URL = re.compile(r"\Apostgres(?:ql)?://\S+\Z")
PORTS = re.compile(r"\A[0-9]*(?:,[0-9]*)*\Z")
LOCAL_URL = re.compile(r"\Ahttp://(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])(?::\d+)?(?:/\S*)?\Z")
# 24 bytes or more in base64, as Standard Webhooks requires
SIGNING_SECRET = re.compile(r"\Awhsec_(?:[A-Za-z0-9+/]{4}){8,22}(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?\Z")
WEBHOOK_TOLERANCE = timedelta(minutes=5)  # Stripe's default. Here it limits future times too
MAX_BODY_BYTES = 256 * 1024  # of a delivery or of usage. Other bodies must be shorter
QUOTE_LIFETIME = timedelta(minutes=15)
COUNTS_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that names the directory for the counts of all processes. prometheus_client defines it."""


ONE_ISSUER = (
    "Set either GATEWAY_JWKS_URL (tokens of your identity provider) or "
    "GATEWAY_JWT_DEVELOPMENT_SECRET (development only), but not both."
)


class Need(Enum):
    """What a command cannot do without. The value names the settings, one of which must be set."""

    DATABASE = ("GATEWAY_DATABASE_URL",)
    STRIPE = ("STRIPE_SECRET_KEY",)
    WEBHOOKS = ("STRIPE_WEBHOOK_SECRETS",)
    TOKENS = ("GATEWAY_JWKS_URL", "GATEWAY_JWT_DEVELOPMENT_SECRET")


MISSING: Mapping[Need, str] = MappingProxyType(
    {
        Need.DATABASE: "GATEWAY_DATABASE_URL is not set. It must look like postgresql://…",
        Need.STRIPE: "STRIPE_SECRET_KEY is not set. It must look like sk_test_…, sk_live_…, rk_test_… or rk_live_…",
        Need.WEBHOOKS: "STRIPE_WEBHOOK_SECRETS is not set, so the gateway would refuse every delivery.",
        Need.TOKENS: f"No token could be verified. {ONE_ISSUER}",
    }
)


class ConfigError(Exception):
    """A setting is missing or malformed. The message names it and the expected value."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that differs between deployments. Secrets stay out of the repr."""

    database_url: str = field(repr=False)
    stripe_secret_key: str = field(repr=False)
    stripe_publishable_key: str = ""
    stripe_webhook_secrets: tuple[str, ...] = field(default=(), repr=False)
    stripe_api_base: str | None = None
    stripe_calls_per_second: int = 20
    web_threads: int = 32
    """Threads of one web process. Half of them may be busy with Stripe."""
    rate_limit_factor: int = 1
    """Multiplies the limits on callers' requests and on declined payments, for organizations with many users."""
    trusted_proxies: int = 0
    """How many proxies in front of the gateway append the address of their client to ``X-Forwarded-For``."""
    catalog: Path | None = None
    """The file of the plans that are sold. None means the catalog.toml that comes with the gateway."""
    receivers: Path | None = None
    """The file of the receivers of notifications. None means that there are none."""
    public_url: str | None = None
    """The gateway's address from outside, without a path. The gateway finds its webhook endpoint at Stripe by it."""
    sales_webhook_url: str | None = field(default=None, repr=False)
    """Where the gateway posts sales inquiries. The URL may itself hold a secret."""
    sales_webhook_secret: str | None = field(default=None, repr=False)
    ui_origins: tuple[str, ...] = ()
    """The origins of the UIs that may call the interface and embed the Billing page, and to which it may lead back."""
    billing_theme: Path | None = None
    """A folder with the Billing page's theme.css and logo.svg."""
    jwt_issuer: str = "konnect"
    jwt_audience: str = "konnect-billing"
    jwks_url: str | None = None
    jwt_development_secret: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.jwks_url is not None and self.jwt_development_secret is not None:
            raise ConfigError(ONE_ISSUER)
        if self.jwt_development_secret is not None and self.livemode:
            raise ConfigError("GATEWAY_JWT_DEVELOPMENT_SECRET cannot be used with a live Stripe key.")
        if not all(WEBHOOK_SECRET.match(secret) for secret in self.stripe_webhook_secrets):
            raise ConfigError("Each secret in STRIPE_WEBHOOK_SECRETS must begin with whsec_.")

        self.check_sales_webhook()

    def check_sales_webhook(self) -> None:
        """Raise ConfigError if inquiries would be sent unsigned, or unencrypted to another machine.

        They hold personal data.
        """
        if (self.sales_webhook_url is None) != (self.sales_webhook_secret is None):
            raise ConfigError("Set GATEWAY_SALES_WEBHOOK_URL and GATEWAY_SALES_WEBHOOK_SECRET together, or neither.")
        if self.sales_webhook_url is not None and not is_private_url(self.sales_webhook_url):
            raise ConfigError("GATEWAY_SALES_WEBHOOK_URL must begin with https://, unless it is on this machine.")

    @property
    def livemode(self) -> bool:
        """Whether the Stripe key is a live one. The gateway never applies events of the other mode."""
        return "_live_" in self.stripe_secret_key[:8]

    @property
    def mode(self) -> str:
        """The same in a word: ``live`` or ``test``."""
        return "live" if self.livemode else "test"

    @classmethod
    def from_environment(cls, needs: Collection[Need] = tuple(Need)) -> Self:
        """Read the settings. Raise one ConfigError that names every malformed one, and every missing one of ``needs``.

        The web process needs all of them. Without them, the database's URL and Stripe's key are empty.
        """
        env = Env(eager=False)
        database_url = env.str("GATEWAY_DATABASE_URL", "", validate=require_database_url)
        stripe_secret_key = env.str(
            "STRIPE_SECRET_KEY", "", validate=matches(STRIPE_KEY, "sk_test_…, sk_live_…, rk_test_… or rk_live_…")
        )
        stripe_publishable_key = env.str(
            "STRIPE_PUBLISHABLE_KEY", "", validate=matches(PUBLISHABLE_KEY, "pk_test_… or pk_live_…")
        )
        webhook_secrets: list[str] = env.list("STRIPE_WEBHOOK_SECRETS", [])
        stripe_api_base = env.str("STRIPE_API_BASE", None, validate=matches(HTTP_URL, "http://… or https://…"))
        calls_per_second = env.int("GATEWAY_STRIPE_CALLS_PER_SECOND", 20, validate=validate.Range(min=1, max=1000))
        web_threads = env.int("GATEWAY_WEB_THREADS", cls.web_threads, validate=validate.Range(min=1))
        rate_limit_factor = env.int("GATEWAY_RATE_LIMIT_FACTOR", 1, validate=validate.Range(min=1, max=1000))
        trusted_proxies = env.int("GATEWAY_TRUSTED_PROXIES", 0, validate=validate.Range(min=0, max=10))
        catalog: Path | None = env.path("GATEWAY_CATALOG", None)
        receivers: Path | None = env.path("GATEWAY_RECEIVERS", None)
        public_url = env.str("GATEWAY_PUBLIC_URL", None, validate=matches(HTTP_URL, "http://… or https://…"))
        sales_url = env.str("GATEWAY_SALES_WEBHOOK_URL", None, validate=matches(HTTP_URL, "https://…"))
        sales_secret = env.str(
            "GATEWAY_SALES_WEBHOOK_SECRET",
            None,
            validate=matches(SIGNING_SECRET, "whsec_… with 24 bytes or more in base64"),
        )
        ui_origins: list[str] = env.list("GATEWAY_UI_ORIGINS", [], validate=require_origins)
        billing_theme: Path | None = env.path("GATEWAY_BILLING_THEME", None)
        jwt_issuer = env.str("GATEWAY_JWT_ISSUER", "konnect", validate=validate.Length(min=1))
        jwt_audience = env.str("GATEWAY_JWT_AUDIENCE", "konnect-billing", validate=validate.Length(min=1))
        jwks_url = env.str("GATEWAY_JWKS_URL", None, validate=matches(HTTP_URL, "http://… or https://…"))
        development_secret = env.str("GATEWAY_JWT_DEVELOPMENT_SECRET", None, validate=validate.Length(min=32))
        missing = [text for need, text in MISSING.items() if need in needs and not any(map(os.environ.get, need.value))]
        malformed: dict[str, list[str]] = {}
        try:
            env.seal()
        except EnvError as error:
            malformed = getattr(error, "error_messages", {})
        if malformed or missing:
            raise ConfigError(describe_errors(malformed, missing))
        return cls(
            database_url=database_url,
            stripe_secret_key=stripe_secret_key,
            stripe_publishable_key=stripe_publishable_key,
            stripe_webhook_secrets=tuple(secret.strip() for secret in webhook_secrets),
            stripe_api_base=stripe_api_base,
            stripe_calls_per_second=calls_per_second,
            web_threads=web_threads,
            rate_limit_factor=rate_limit_factor,
            trusted_proxies=trusted_proxies,
            catalog=catalog,
            receivers=receivers,
            public_url=public_url,
            sales_webhook_url=sales_url,
            sales_webhook_secret=sales_secret,
            ui_origins=tuple(origin.strip() for origin in ui_origins),
            billing_theme=billing_theme,
            jwt_issuer=jwt_issuer,
            jwt_audience=jwt_audience,
            jwks_url=jwks_url,
            jwt_development_secret=development_secret,
        )


def is_private_url(url: str) -> bool:
    """Return whether requests to ``url`` are encrypted or stay on this machine."""
    return HTTP_URL.match(url) is not None and (url.startswith("https://") or LOCAL_URL.match(url) is not None)


def matches(pattern: re.Pattern[str], example: str) -> validate.Regexp:
    """Return a check whose error shows an example and never the value, which may be a secret."""
    return validate.Regexp(pattern, error=f"must look like {example}")


def require_origins(origins: list[str]) -> None:
    """Raise ValidationError unless each entry is an origin as browsers send it, without a path."""
    if not all(ORIGIN.match(origin.strip()) for origin in origins):
        raise ValidationError("must look like https://konnect.example, comma-separated and without a path")


def require_database_url(url: str) -> None:
    """Raise ValidationError unless libpq accepts the URL. It may name several hosts, each with its port."""
    try:
        ports = str(conninfo_to_dict(url).get("port", ""))
        readable = POSTGRES_URL.match(url) is not None and PORTS.match(ports) is not None
    except (ValueError, psycopg.ProgrammingError):
        readable = False  # their messages would quote the URL, which may hold a password
    if not readable:
        raise ValidationError("must look like postgresql://…, with a numeric port and with parameters that libpq knows")


def describe_errors(malformed: Mapping[str, Iterable[str]], missing: Iterable[str]) -> str:
    """Return one line for each wrong setting."""
    lines = [*(f"{name}: {' '.join(said)}" for name, said in malformed.items()), *missing]
    return "some settings are missing or malformed.\n" + "\n".join(f"  {line}" for line in lines)
