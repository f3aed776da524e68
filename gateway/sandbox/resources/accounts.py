"""Endpoint of the account (https://docs.stripe.com/api/accounts)."""

from stripe.params import AccountRetrieveCurrentParams

from gateway.sandbox.json_types import Json
from gateway.sandbox.routing import Routes
from gateway.sandbox.work import Work

routes = Routes()


@routes.get("/v1/account", AccountRetrieveCurrentParams)
def retrieve(work: Work, params: Json) -> Json:
    """Return the account that owns the API key."""
    return {
        "id": "acct_1Sandbox000000000",
        "object": "account",
        "business_type": None,
        "charges_enabled": True,
        "country": "US",
        "created": 0,
        "default_currency": "usd",
        "details_submitted": True,
        "email": None,
        "metadata": {},
        "payouts_enabled": True,
        "type": "standard",
    }
