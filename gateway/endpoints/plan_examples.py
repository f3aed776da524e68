"""The example of a plan and its prices, for the OpenAPI document."""

from gateway.json_types import Json

PRICE: Json = {
    "id": "price_1SYqv2KonnectExample05",
    "unit_amount": 25000,
    "unit_amount_decimal": None,
    "currency": "usd",
    "interval": "month",
    "interval_count": 1,
}
LIST_PRICE: Json = {**PRICE, "tiers_mode": None, "tiers": []}
TIER: Json = {"up_to": None, "unit_amount": 0, "unit_amount_decimal": None, "flat_amount": None}
METERED_PRICE: Json = {
    **LIST_PRICE,
    "id": "price_1SYqv2KonnectExample06",
    "unit_amount": None,
    "tiers_mode": "graduated",
    "tiers": [{**TIER, "up_to": 10}, {**TIER, "unit_amount": 500}],
}
PLUS: Json = {
    "key": "plus",
    "name": "Plus",
    "description": "For teams.",
    "unit": "services",
    "max_quantity": 100,
    "price": PRICE,
    "prices": [LIST_PRICE],
    "intervals": ["month"],
    "metered": [
        {
            "meter": "portal_services",
            "name": "Dev Portal services",
            "included": 10,
            "price": METERED_PRICE,
            "prices": [METERED_PRICE],
        }
    ],
    "limits": {"services": None, "analytics_hours": 4392},
    "features": {"email_support": True, "on_call_support": False},
    "trial": {"days": 30},
    "action": "upgrade",
}
