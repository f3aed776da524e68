"""``gateway token`` issues a token for development."""

from datetime import UTC, datetime

import click

from gateway.auth import SCOPES, issue_development_token
from gateway.config import Config, Need


@click.command()
@click.option("--organization", help="Id of the organization the token is for. A service's token needs none.")
@click.option("--scope", "scopes", multiple=True, default=SCOPES, show_default=True, help="Can be repeated.")
def token(organization: str | None, scopes: tuple[str, ...]) -> None:
    """Print a development token that is valid for a day."""
    config = Config.from_environment((Need.TOKENS,))
    if config.jwt_development_secret is None:
        raise click.ClickException("The development issuer is off because GATEWAY_JWT_DEVELOPMENT_SECRET is not set.")
    click.echo(issue_development_token(config, organization, datetime.now(UTC), scopes=scopes))
