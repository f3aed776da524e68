"""``GET /billing`` is the Billing and Usage page."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from flask import Blueprint, Response, render_template, request

from gateway.config import Config
from gateway.pages.files import StaticFile, find_file, load_files
from schemas.countries import COUNTRIES

FILES = Path(__file__).parent / "static"
STATIC, THEME = "/billing/static/", "/billing/theme/"
FIRST_VIEW = "views/overview.js"
# What Stripe.js and its Payment Element need. https://docs.stripe.com/security/guide#content-security-policy
STRIPE_SCRIPTS = ("https://js.stripe.com", "https://*.js.stripe.com")
STRIPE_CALLS = ("https://api.stripe.com",)
STRIPE_FRAMES = (*STRIPE_SCRIPTS, "https://hooks.stripe.com")


def build_policy(config: Config) -> str:
    """Return the Content-Security-Policy. The page may have no inline script or style."""
    calls, scripts, frames = list_stripe_sources(config)
    directives = {
        "default-src": ["'none'"],
        "script-src": ["'self'", *scripts],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "connect-src": ["'self'", *calls],
        "frame-src": frames or ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
        "frame-ancestors": ["'self'", *config.ui_origins],
    }
    return "; ".join(f"{name} {' '.join(sources)}" for name, sources in directives.items())


def find_sandbox(config: Config) -> str | None:
    """Return the address of the local Stripe, or None. A live card never goes to another address than Stripe's own."""
    return config.stripe_api_base if not config.livemode else None


def list_stripe_sources(config: Config) -> tuple[list[str], list[str], list[str]]:
    """Return the addresses to call, to load scripts from, and to frame."""
    if (sandbox := find_sandbox(config)) is not None:
        return [sandbox], [], []
    if not config.stripe_publishable_key:
        return [], [], []
    return [*STRIPE_CALLS], [*STRIPE_SCRIPTS], [*STRIPE_FRAMES]


def choose_return(config: Config, wanted: str | None) -> str | None:
    """Return the address to go back to, or None if it is not a page of one of our UIs."""
    allowed = tuple(f"{origin}/" for origin in config.ui_origins)
    return wanted if wanted is not None and f"{wanted}/".startswith(allowed) else None


def list_modules(files: Mapping[str, StaticFile]) -> Iterator[str]:
    """Yield the modules of the first load. Otherwise the browser would find them one after the other.

    It loads the other views when they are shown.
    """
    return (
        name
        for name in files
        if name.endswith(".js") and name != "main.js" and (not name.startswith("views/") or name == FIRST_VIEW)
    )


def build_blueprint(config: Config) -> Blueprint:
    """Return the page's routes. None of them needs a token, because the page's calls carry it."""
    blueprint = Blueprint("billing_page", __name__, template_folder="templates")
    policy = build_policy(config)

    def load_theme() -> dict[str, StaticFile]:
        return load_files(config.billing_theme) if config.billing_theme is not None else {}

    @blueprint.get("/billing")
    def show() -> Response:
        theme = load_theme()
        response = Response(
            render_template(
                "billing.html",
                static=STATIC,
                theme=THEME,
                has_style="theme.css" in theme,
                has_logo="logo.svg" in theme,
                modules=list_modules(load_files(FILES)),
                countries=" ".join(COUNTRIES),
                publishable_key=config.stripe_publishable_key,
                sandbox=find_sandbox(config),
                return_to=choose_return(config, request.args.get("return_to")),
            )
        )
        response.headers["Content-Security-Policy"] = policy
        return response

    @blueprint.get(f"{STATIC}<path:name>")
    def show_file(name: str) -> Response:
        return find_file(load_files(FILES), name)

    @blueprint.get(f"{THEME}<path:name>")
    def show_theme(name: str) -> Response:
        return find_file(load_theme(), name)

    return blueprint
