"""The examples of usage and spend, for the OpenAPI document."""

from gateway.json_types import Json

EVENT: Json = {
    "id": "a3b1c2d4-0000-4000-8000-000000000001",
    "organization_id": "org_1",
    "meter": "api_calls",
    "quantity": 120,
    "occurred_at": "2026-11-16T09:00:00Z",
}
AMOUNTS: Json = {"quantity": 120, "acknowledged": 120, "refused": 0}
METER_USAGE: Json = {
    "meter": "api_calls",
    "name": "API calls",
    "aggregation": "sum",
    "total": AMOUNTS,
    "days": [{"date": "2026-11-16", **AMOUNTS}],
}
ESTIMATE: Json = {
    "currency": "usd",
    "base": 50000,
    "prorations": -1250,
    "usage": 2400,
    "discounts": 0,
    "tax": 0,
    "balance": 0,
    "due": 51150,
    "billing_date": "2026-12-01T09:00:00Z",
    "calculated_at": "2026-11-16T09:00:00Z",
}
SPEND_ALERTS: Json = {"amounts": [50000, 100000], "spend_limit": 200000}
