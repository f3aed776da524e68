"""Checks that Stripe charges the payment method that Plan Details show."""

from typing import Any

from gateway.services.subscription.plan_details import load_plan_details
from tests.stateful.convergence.stepped_gateway import SteppedGateway
from tests.support.json_types import Json


class ShownMethods:
    """The payment methods that Plan Details show while the gateway knows everything that Stripe has done."""

    def __init__(self, stage: SteppedGateway, organizations: list[str]) -> None:
        self.stage = stage
        self.before = {each["id"] for each in stage.read("/v1/charges")}
        self.shown = {each: load_plan_details(stage.gateway, stage.caller(each)) for each in organizations}

    def check(self, plans: dict[str, str]) -> int:
        """Check every charge made since then for a plan, and return their number.

        ``plans`` maps each plan's subscription to its organization.
        """
        found = 0
        for charge in self.stage.read("/v1/charges"):
            subscription = self.paid_by(charge) if charge["id"] not in self.before else None
            if subscription in plans:
                method = self.shown[plans[subscription]].payment_method
                shown = method.id if method is not None else None
                assert charge["payment_method"] == shown, f"{charge['payment_method']} was charged, shown was {shown}"
                found += 1
        return found

    def paid_by(self, charge: Json) -> str | None:
        """Return the subscription that a charge pays for, if any."""
        payments: Any = {"payment": {"type": "payment_intent", "payment_intent": charge["payment_intent"]}}
        for payment in self.stage.read("/v1/invoice_payments", **payments):
            parent = self.stage.retrieve(f"/v1/invoices/{payment['invoice']}")["parent"]
            return str(parent["subscription_details"]["subscription"]) if parent else None
        return None
