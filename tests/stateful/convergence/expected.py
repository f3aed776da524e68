"""The tables as they should be. This module reads Stripe's JSON by itself and uses no rules of the gateway."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from gateway.db.models import Subscription
from tests.stateful.convergence.expected_plan import iso, plan_items, plan_row
from tests.stateful.convergence.stepped_gateway import SteppedGateway
from tests.support.json_types import Json

Tables = dict[str, dict[str, Json]]
"""Rows by table and key."""


def at(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


@dataclass
class Expected:
    """All tables as they should be, according to Stripe's current state."""

    stage: SteppedGateway
    tables: Tables = field(default_factory=dict)

    def __post_init__(self) -> None:
        created = [event["data"]["object"] for event in self.stage.events if event["type"] == "customer.created"]
        self.owner = {each["id"]: each["metadata"].get("organization_id") for each in created}
        first = {name: customer for customer, name in reversed(self.owner.items()) if name}
        self.owner = {customer: name for name, customer in first.items()}
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
            # No event reports the one-time price that Stripe makes for an invoice item with an amount.
            "prices": {each["id"]: price_of(each) for each in self.stage.read("/v1/prices") if each["recurring"]},
            "organizations": {self.owner[key]: organization_of(each) for key, each in self.customers.items()},
            "subscriptions": {
                key: subscription_of(each, self.owner[each["customer"]]) for key, each in self.subscriptions.items()
            },
            "payment_methods": self._cards(),
            "upcoming_invoices": self._upcoming(),
            "organization_plans": self._plans(),
        }

    def _events_about(self, kind: str) -> list[tuple[str, Json]]:
        """Return type and object of the events about one kind of object, oldest first."""
        observed = [(event["type"], event["data"]["object"]) for event in self.stage.events]
        return [(name, thing) for name, thing in observed if thing["object"] == kind]

    def _invoices(self) -> dict[str, Json]:
        """Return all invoices. A deleted draft is in no list, so only its event shows it."""
        gone = [
            thing | {"status": "deleted"} for name, thing in self._events_about("invoice") if name == "invoice.deleted"
        ]
        every = [*self.stage.read("/v1/invoices"), *gone]
        return {
            each["id"]: invoice_of(each, self.owner[each["customer"]])
            for each in every
            if each["customer"] in self.owner
        }

    def _is_under_way(self, invoice: str) -> bool:
        """Return whether a payment of the invoice is in progress."""
        found = self.stage.retrieve(f"/v1/invoices/{invoice}?expand[]=payments.data.payment.payment_intent")
        return any(each["payment"]["payment_intent"]["status"] == "processing" for each in found["payments"]["data"])

    def _cards(self) -> dict[str, Json]:
        attached = dict.fromkeys(
            (thing["id"], thing["customer"])
            for name, thing in self._events_about("payment_method")
            if name == "payment_method.attached" and thing["customer"] in self.owner
        )
        return {
            card: method_of(self.stage.retrieve(f"/v1/payment_methods/{card}"), self.owner[customer])
            for card, customer in attached
        }

    def _upcoming(self) -> dict[str, Json]:
        announced = [thing for name, thing in self._events_about("invoice") if name == "invoice.upcoming"]
        return {
            thing["parent"]["subscription_details"]["subscription"]: {
                "organization_id": self.owner[thing["customer"]],
                "amount_due": thing["amount_due"],
                "currency": thing["currency"],
                "billing_date": at(thing["period_end"]),
            }
            for thing in announced
            if thing["customer"] in self.owner
        }

    def named_methods(self) -> set[str]:
        """Return the payment methods that a customer or a subscription names as the one to charge."""
        tables = (self.tables["organizations"], self.tables["subscriptions"])
        return {row["default_payment_method_id"] for table in tables for row in table.values()}

    def changed_since_announced(self) -> set[str]:
        """Return the subscriptions that changed after Stripe last announced their next invoice."""
        changed: set[str] = set()
        for event in self.stage.events:
            thing = event["data"]["object"]
            if event["type"] == "invoice.upcoming":
                changed.discard(thing["parent"]["subscription_details"]["subscription"])
            elif thing["object"] == "subscription":
                changed.add(thing["id"])
        return changed

    def _plans(self) -> dict[str, Json]:
        rows = {}
        now = datetime.fromtimestamp(self.stage.clock(), UTC)
        had_plan = self.stood_for_plans()
        invoices = {
            key: each | {"id": key, "payment_under_way": each["status"] == "open" and self._is_under_way(key)}
            for key, each in self.tables["invoices"].items()
        }
        for customer, name in self.owner.items():
            mine = [each for each in self.subscriptions.values() if each["customer"] == customer]
            deleted = bool(self.customers[customer].get("deleted"))
            rows[name] = plan_row(mine, self.plans, invoices, deleted=deleted, had_plan=had_plan, now=now)
            rows[name] = rows[name] | {"returned_payments": self._returned(customer)}
        return rows

    def _returned(self, customer: str) -> list[Json]:
        """Return the customer's refunded and disputed charges."""
        found = []
        for charge in sorted(self.stage.read("/v1/charges", customer=customer), key=lambda each: str(each["id"])):
            disputes = [
                each for each in self.stage.read("/v1/disputes", charge=charge["id"]) if each["status"] != "won"
            ]
            lost = sum(each["amount"] for each in disputes if each["status"] == "lost")
            paid: Json = {"type": "payment_intent", "payment_intent": charge["payment_intent"]}
            if charge["amount_refunded"] or disputes:
                [payment] = self.stage.read("/v1/invoice_payments", payment=paid)
                found.append(
                    {
                        "charge": charge["id"],
                        "invoice": payment["invoice"],
                        "currency": charge["currency"],
                        "amount": charge["amount"],
                        "refunded": charge["amount_refunded"],
                        "lost": lost,
                        "dispute": "lost" if lost else "open" if disputes else None,
                    }
                )
        return found

    def stood_for_plans(self) -> set[str]:
        """Return the subscriptions that stand for a plan even without a plan's item.

        The gateway knows what it changed itself. It remembers an item of a plan's product, but not every event shows
        such an item. So this takes what the gateway remembers, and checks that Stripe once had it.
        """
        states = [thing for _, thing in self._events_about("subscription")]
        products = [thing for _, thing in self._events_about("product")]
        ever = {each["id"] for each in products if each["metadata"].get("konnect_plan")} | self.plans.keys()
        possible = {state["id"] for state in states if plan_items(state, dict.fromkeys(ever, ""))}
        with self.stage.gateway.database.transaction() as session:
            remembered = set(session.scalars(select(Subscription.id).where(Subscription.had_plan)))
        assert remembered & self.subscriptions.keys() <= possible, "a subscription never had a plan"
        changed = {key for key, each in self.subscriptions.items() if each["metadata"].get("change_id")}
        return remembered | changed


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
        none = ("name", "email", "default_payment_method_id", "default_source_id", "currency", "country")
        row: Json = dict.fromkeys(none) | {"balance": 0, "deleted": True}
    else:
        row = {name: customer[name] for name in ("name", "email", "balance", "currency")}
        row |= {"default_payment_method_id": customer["invoice_settings"]["default_payment_method"], "deleted": False}
        row |= {"default_source_id": customer["default_source"]}
        row |= {"country": (customer["address"] or {}).get("country")}
    return row | {"stripe_customer_id": customer["id"]}


def exact_amount(price: Json) -> str | None:
    return None if price["unit_amount"] is not None else price["unit_amount_decimal"]


def subscription_of(subscription: Json, organization: str) -> Json:
    items: list[Any] = [
        {
            "id": item["id"],
            "price_id": item["price"]["id"],
            "product_id": item["price"]["product"],
            "quantity": item.get("quantity", 1),  # a metered item has none
            "metered": item["price"]["recurring"]["usage_type"] == "metered",
            "unit_amount": item["price"]["unit_amount"],
            "unit_amount_decimal": exact_amount(item["price"]),
            "interval": item["price"]["recurring"]["interval"],
            "interval_count": item["price"]["recurring"]["interval_count"],
            "created": iso(item["created"]),
            "current_period_start": iso(item["current_period_start"]),
            "current_period_end": iso(item["current_period_end"]),
        }
        for item in subscription["items"]["data"]
    ]
    pause = subscription["pause_collection"] or {}
    same = ("status", "currency", "cancel_at_period_end", "collection_method")
    return {name: subscription[name] for name in same} | {
        "organization_id": organization,
        "default_payment_method_id": subscription["default_payment_method"] or subscription["default_source"],
        "billing_mode": subscription["billing_mode"]["type"],
        "automatic_tax": subscription["automatic_tax"]["enabled"],
        "schedule_id": subscription["schedule"],
        "pause_behavior": pause.get("behavior"),
        "paused_until": at(pause.get("resumes_at")),
        "trial_end": at(subscription["trial_end"]),
        "discount_ids": sorted(subscription["discounts"]),
        "items": sorted(items, key=lambda item: str(item["id"])),
        "cancel_at": at(subscription["cancel_at"]),
        "latest_invoice_id": subscription["latest_invoice"],
        "change_id": subscription["metadata"].get("change_id"),
        "pending_until": at((subscription["pending_update"] or {}).get("expires_at")),
        "created": at(subscription["created"]),
    }


def invoice_of(invoice: Json, organization: str) -> Json:
    amounts = ("total", "amount_due", "amount_paid", "amount_remaining")
    progress = ("collection_method", "attempted", "attempt_count", "auto_advance")
    same = ("status", "billing_reason", "number", "currency", *amounts, *progress)
    parent = invoice["parent"]
    return {name: invoice[name] for name in same} | {
        "organization_id": organization,
        "subscription_id": parent["subscription_details"]["subscription"] if parent else None,
        "taxes": sum(each["amount"] for each in invoice["total_taxes"]),
        "next_payment_attempt": at(invoice["next_payment_attempt"]),
        "due_date": at(invoice["due_date"]),
        "created": at(invoice["created"]),
    }


def method_of(method: Json, organization: str) -> Json:
    """Return the row of a payment method of any type."""
    details = method[method["type"]]
    row = {name: details.get(name) for name in ("last4", "exp_month", "exp_year")}
    row |= {"brand": details.get("brand"), "type": method["type"]}
    return row | {"organization_id": organization, "detached": method["customer"] is None}
