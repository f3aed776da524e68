"""What the tables ought to say, read from Stripe's JSON by nothing of the gateway's: an own, plain reading of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.stateful.convergence.stepped_gateway import SteppedGateway
from tests.support.json_types import Json

OVER = ("canceled", "incomplete_expired")
USABLE = ("trialing", "active", "past_due")
STANDING = {"past_due": "grace", "unpaid": "suspended", "paused": "suspended", "incomplete_expired": "suspended"}
Tables = dict[str, dict[str, Json]]
"""Table -> key -> row."""

NOBODY: Json = {
    "plan": "free",
    "requested_plan": "free",
    "status": "none",
    "standing": "good",
    "quantity": 1,
    "currency": None,
    "subscription_id": None,
    "current_period_start": None,
    "current_period_end": None,
    "cancel_at": None,
}


def at(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def iso(seconds: int | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def plan_row(subscriptions: Iterable[Json], plans: dict[str, str], invoices: dict[str, Json], *, deleted: bool) -> Json:
    """The plan of a customer with these subscriptions. ``plans``: product -> plan."""
    if deleted or not (found := list(subscriptions)):
        return NOBODY
    # The living before the ended, what may be used before what may not, the newest before the older.
    one = max(
        found, key=lambda each: (each["status"] not in OVER, each["status"] in USABLE, each["created"], each["id"])
    )
    items = sorted(one["items"]["data"], key=lambda item: str(item["id"]))
    known = [item for item in items if item["price"]["product"] in plans]
    item = known[0] if len(known) == 1 else items[0]
    plan = plans[item["price"]["product"]] if len(known) == 1 else "unmapped"
    over = one["status"] in OVER
    invoice = invoices.get(one["latest_invoice"] or "", {})
    given_up = one["status"] == "past_due" and invoice.get("status") == "open" and not invoice["next_payment_attempt"]
    return {
        "plan": plan if one["status"] in USABLE and not given_up else "free",
        "requested_plan": "free" if over else plan,
        "status": one["status"],
        "standing": "suspended" if given_up else STANDING.get(one["status"], "good"),
        "quantity": 1 if over else item["quantity"],
        "currency": one["currency"],
        "subscription_id": one["id"],
        "current_period_start": None if over else iso(item["current_period_start"]),
        "current_period_end": None if over else iso(item["current_period_end"]),
        "cancel_at": iso(one["cancel_at"]),
    }


@dataclass
class Expected:
    """All tables as they ought to be, from Stripe as it is."""

    stage: SteppedGateway
    tables: Tables = field(default_factory=dict)

    def __post_init__(self) -> None:
        created = [event["data"]["object"] for event in self.stage.events if event["type"] == "customer.created"]
        self.owner = {each["id"]: each["metadata"].get("organization_id") for each in created}
        self.owner = {customer: name for customer, name in self.owner.items() if name}
        self.customers = {each: self.stage.retrieve(f"/v1/customers/{each}") for each in self.owner}
        self.products = {each["id"]: each for each in self.stage.read("/v1/products")}
        self.plans = {
            each["id"]: key for each in self.products.values() if (key := each["metadata"].get("konnect_plan"))
        }
        rows = self.stage.read("/v1/subscriptions", status="all")
        self.subscriptions = {each["id"]: each for each in rows if each["customer"] in self.owner}
        self.tables = {"invoices": self._invoices()}
        self.tables |= {
            "plans": {key: plan_of(each) for key, each in self.products.items() if key in self.plans},
            "prices": {each["id"]: price_of(each) for each in self.stage.read("/v1/prices")},
            "organizations": {self.owner[key]: organization_of(each) for key, each in self.customers.items()},
            "subscriptions": {
                key: subscription_of(each, self.owner[each["customer"]]) for key, each in self.subscriptions.items()
            },
            "payment_methods": self._cards(),
            "upcoming_invoices": self._upcoming(),
            "organization_plans": self._plans(),
        }

    def _told(self, kind: str) -> list[tuple[str, Json]]:
        """Type and object of the events about a kind of object, oldest first."""
        told = [(event["type"], event["data"]["object"]) for event in self.stage.events]
        return [(name, thing) for name, thing in told if thing["object"] == kind]

    def _invoices(self) -> dict[str, Json]:
        """A draft that was deleted is in no list: only its event tells."""
        gone = [thing | {"status": "deleted"} for name, thing in self._told("invoice") if name == "invoice.deleted"]
        every = [*self.stage.read("/v1/invoices"), *gone]
        return {
            each["id"]: invoice_of(each, self.owner[each["customer"]])
            for each in every
            if each["customer"] in self.owner
        }

    def _cards(self) -> dict[str, Json]:
        attached = dict.fromkeys(
            (thing["id"], thing["customer"])
            for name, thing in self._told("payment_method")
            if name == "payment_method.attached" and thing["customer"] in self.owner
        )
        return {
            card: card_of(self.stage.retrieve(f"/v1/payment_methods/{card}"), self.owner[customer])
            for card, customer in attached
        }

    def _upcoming(self) -> dict[str, Json]:
        told = [thing for name, thing in self._told("invoice") if name == "invoice.upcoming"]
        return {
            thing["parent"]["subscription_details"]["subscription"]: {
                "organization_id": self.owner[thing["customer"]],
                "amount_due": thing["amount_due"],
                "currency": thing["currency"],
                "billing_date": at(thing["period_end"]),
            }
            for thing in told
            if thing["customer"] in self.owner
        }

    def _plans(self) -> dict[str, Json]:
        rows = {}
        for customer, name in self.owner.items():
            mine = [each for each in self.subscriptions.values() if each["customer"] == customer]
            deleted = bool(self.customers[customer].get("deleted"))
            rows[name] = plan_row(mine, self.plans, self.tables["invoices"], deleted=deleted)
        return rows


def plan_of(product: Json) -> Json:
    return {"key": product["metadata"]["konnect_plan"], "name": product["name"], "active": product["active"]}


def price_of(price: Json) -> Json:
    return {
        "product_id": price["product"],
        "lookup_key": price["lookup_key"],
        "currency": price["currency"],
        "unit_amount": price["unit_amount"],
        "interval": price["recurring"]["interval"],
        "active": price["active"],
    }


def organization_of(customer: Json) -> Json:
    if customer.get("deleted"):
        row: Json = {"name": None, "email": None, "default_payment_method_id": None, "balance": 0, "deleted": True}
    else:
        row = {name: customer[name] for name in ("name", "email", "balance")}
        row |= {"default_payment_method_id": customer["invoice_settings"]["default_payment_method"], "deleted": False}
    return row | {"stripe_customer_id": customer["id"]}


def subscription_of(subscription: Json, organization: str) -> Json:
    items: list[Any] = [
        {
            "id": item["id"],
            "price_id": item["price"]["id"],
            "product_id": item["price"]["product"],
            "quantity": item["quantity"],
            "metered": item["price"]["recurring"]["usage_type"] == "metered",
            "current_period_start": iso(item["current_period_start"]),
            "current_period_end": iso(item["current_period_end"]),
        }
        for item in subscription["items"]["data"]
    ]
    return {
        "organization_id": organization,
        "status": subscription["status"],
        "currency": subscription["currency"],
        "items": sorted(items, key=lambda item: str(item["id"])),
        "cancel_at": at(subscription["cancel_at"]),
        "latest_invoice_id": subscription["latest_invoice"],
        "change_id": subscription["metadata"].get("change_id"),
        "pending_until": at((subscription["pending_update"] or {}).get("expires_at")),
        "created": at(subscription["created"]),
    }


def invoice_of(invoice: Json, organization: str) -> Json:
    same = ("status", "billing_reason", "number", "currency", "total", "amount_due", "amount_paid", "amount_remaining")
    parent = invoice["parent"]
    return {name: invoice[name] for name in same} | {
        "organization_id": organization,
        "subscription_id": parent["subscription_details"]["subscription"] if parent else None,
        "next_payment_attempt": at(invoice["next_payment_attempt"]),
        "created": at(invoice["created"]),
    }


def card_of(card: Json, organization: str) -> Json:
    row = {name: card["card"][name] for name in ("brand", "last4", "exp_month", "exp_year")}
    return row | {"organization_id": organization, "detached": card["customer"] is None}
