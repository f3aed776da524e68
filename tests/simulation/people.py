"""The people of one organization, who act through the JSON interface and see only its answers."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from random import Random
from typing import TYPE_CHECKING, Any

import orjson
import stripe

from tests.simulation.wire import Answer
from tests.support.clock import DAY
from tests.support.json_types import Json

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

GOOD, DECLINED, REFUSED, ASKS = (
    "pm_card_visa",
    "pm_card_chargeCustomerFail",
    "pm_card_chargeDeclined",
    "pm_card_authenticationRequired",
)
CARDS = (*[GOOD] * 6, "pm_card_mastercard", "pm_card_amex", DECLINED, DECLINED, REFUSED, *[ASKS] * 3)
QUANTITIES = (*(1, 2, 3, 4, 5) * 4, 11, 101)
"""An organization that has not paid yet may owe the price of ten."""
LATE = 0.2
"""How often usage comes late."""
AWAY = (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT)
BUSY = ("change_in_progress", "request_in_progress")


@dataclass
class People:
    """The people of one organization."""

    name: str
    world: "Simulation"
    random: Random
    is_enrolled: bool = False
    reports: int = 0
    asked: int = 0

    def act(self) -> None:
        """Do one thing."""
        if not self.is_enrolled:
            self.sign_up()
            return
        acts = (
            *[self.change] * 5,
            self.add_card,
            self.add_card,
            self.cancel,
            self.use,
            self.use,
            self.use,
            self.report_level,
        )
        acts = (
            *acts,
            self.pay,
            self.pay,
            self.approve,
            self.remove_card,
            self.set_alerts,
            self.tell_details,
            self.look,
        )
        self.random.choice(acts)()

    def next_act(self) -> float:
        """Return the seconds until the next act. Now and then people are in a hurry."""
        if self.random.random() < 0.25:
            return self.random.choice((1, 5, 60, 600, 7200))
        return self.random.expovariate(1 / (self.world.pause * DAY))

    def ask(self, method: str, path: str, body: Json | None = None) -> Json | None:
        """Send a request, and again while the gateway or Stripe is away. Return the answer, or None for an error."""
        self.asked += 1
        key = f"{self.name}-{self.asked}" if method != "GET" else ""
        for _ in range(4):
            self.world.clock.sleep(self.random.choice((0.1, 0.5, 1.5)))
            answer = self.world.gateway.call(self.name, method, path, body, key)
            self.world.note_activity()
            if answer is not None:
                problem = self._read_problem(answer)
                if problem is None:
                    found: Json = orjson.loads(answer.content or b"{}")
                    return found
                if answer.status_code not in AWAY and problem not in BUSY:
                    self.world.refusals[problem] += 1
                    return None
            self.world.run_until(self.world.clock() + self.random.choice((1, 20, 70, 400)))
        return None

    def _read_problem(self, answer: Answer) -> str | None:
        """Return the code of a problem, or None. Only a Stripe or a database that is away may be a failure of ours."""
        if answer.status_code < HTTPStatus.BAD_REQUEST:
            return None
        assert answer.status_code < HTTPStatus.INTERNAL_SERVER_ERROR or answer.status_code in AWAY, answer.content
        return str(orjson.loads(answer.content)["code"])

    def sign_up(self) -> None:
        """Begin with the trial, on Free, or with a plan immediately."""
        wanted = self.random.choice(({}, {}, {"plan": "free"}, {"plan": "free"}))
        self.is_enrolled = self.ask("POST", "/subscription", {**wanted, "currency": "usd"}) is not None
        if self.is_enrolled:
            self.world.others.give_terms(self.name)
            if self.random.random() < 0.7:
                self.add_card()

    def add_card(self) -> None:
        """Take a card as the browser does, and make it the default."""
        intent = self.ask("POST", "/billing-details/setup-intent", {})
        if intent is None:
            return
        v1, number = self.world.stripe.v1, intent["client_secret"].split("_secret_")[0]
        try:
            confirmed = v1.setup_intents.confirm(number, {"payment_method": self.random.choice(CARDS)})
            if confirmed.status == "requires_action":
                confirmed = v1.setup_intents.confirm(number)
        except stripe.CardError:
            return
        self.ask("PUT", "/payment-methods/default", {"payment_method": confirmed.payment_method})

    def change(self) -> None:
        """Move to Plus, to another quantity or to another interval, with a quote or without."""
        wanted: Json = {"plan": "plus", "quantity": self.random.choice(QUANTITIES)}
        if self.random.random() < 0.2:
            wanted["interval"] = self.random.choice(("month", "year"))
        if self.random.random() < 0.6:
            quote = self.ask("POST", "/subscription/preview", wanted)
            if quote is None:
                return
            wanted = {"quote": quote["token"]}
            if self.random.random() < 0.3:
                self.world.run_until(self.world.clock() + self.random.choice((5, 60, 500)))
        changed = self.ask("PATCH", "/subscription", wanted)
        if changed is not None and changed["state"] == "requires_action" and self.random.random() < 0.7:
            self.approve()

    def approve(self) -> None:
        """Approve a payment that waits for the cardholder, or cancel the change."""
        changes = self.ask("GET", "/subscription/changes")
        for each in changes["data"] if changes is not None else []:
            if each["state"] == "requires_action":
                shown = self.ask("GET", f"/subscription/changes/{each['id']}")
                if shown is None or shown["client_secret"] is None:
                    continue
                if self.random.random() < 0.4:
                    self.ask("DELETE", f"/subscription/changes/{each['id']}")
                    continue
                intent = shown["client_secret"].split("_secret_")[0]
                self.world.try_at_stripe(partial(self.world.stripe.v1.payment_intents.confirm, intent))

    def cancel(self) -> None:
        """Return to Free."""
        self.ask("DELETE", "/subscription", {"feedback": "unused"} if self.random.random() < 0.5 else None)

    def use(self) -> None:
        """Report usage, as a service of Konnect does. Now and then it comes late, also after a change of the plan."""
        self.reports += 1
        meter = self.random.choice(("api_calls", "api_calls", "portal_services"))
        quantity = self.random.randrange(1, 3_000_000) if meter == "api_calls" else self.random.randrange(30)
        delay = self.random.choice((600, 7200, DAY, 3 * DAY)) if self.random.random() < LATE else 0
        second = int(self.world.clock()) - delay
        used: Json = {
            "id": f"{self.name}.{self.reports}",
            "organization_id": self.name,
            "meter": meter,
            "quantity": quantity,
            "occurred_at": datetime.fromtimestamp(second, UTC).isoformat(),
        }
        answer = self.ask("POST", "/usage", {"events": [used]})
        kept = answer is not None and used["id"] in (*answer["new"], *answer["known"])
        counts = kept and not (delay and meter == "portal_services")  # only the last value of an open period counts
        told_at = int(self.world.clock())
        self.world.used.append(used | {"at": second, "is_certain": counts, "told_at": told_at})
        self.world.plan_upkeep(300)

    def report_level(self) -> None:
        """Report the number of services, which the quantity follows."""
        level = {"organization_id": self.name, "meter": "services", "value": self.random.choice(QUANTITIES)}
        if self.random.random() < 0.3:
            self.ask("PUT", "/usage/levels", level)
            self.world.plan_upkeep(300)

    def pay(self) -> None:
        """Pay the unpaid invoices."""
        invoices = self.ask("GET", "/invoices")
        for each in invoices["data"] if invoices is not None else []:
            if each["status"] in ("open", "uncollectible"):
                self.ask("POST", f"/invoices/{each['id']}/pay", {})

    def remove_card(self) -> None:
        """Remove one of the payment methods."""
        methods = self.ask("GET", "/payment-methods")
        if methods is not None and methods["data"]:
            self.ask("DELETE", f"/payment-methods/{self.random.choice(methods['data'])['id']}")

    def set_alerts(self) -> None:
        """Choose the amounts of the spend alerts."""
        self.ask("PUT", "/spend-alerts", {"amounts": [self.random.choice((5000, 50_000))]})

    def tell_details(self) -> None:
        """Enter billing details."""
        address = {
            "line1": "1 Main St",
            "line2": None,
            "city": "Town",
            "state": None,
            "postal_code": "10115",
            "country": "US",
        }
        details: dict[str, Any] = {"name": self.name, "email": f"{self.name}@acme.example", "tax_ids": []}
        self.ask("PUT", "/billing-details", details | {"address": address})

    def look(self) -> None:
        """Look at everything that the user interface shows."""
        for path in ("/subscription", "/plans", "/entitlements", "/usage", "/subscription/history"):
            self.ask("GET", path)
