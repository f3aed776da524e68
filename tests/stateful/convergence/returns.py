"""The rules for money that goes back, for usage, and for second customers of an organization."""

import requests
from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.stateful.convergence.arrangements import Arrangements
from tests.stateful.convergence.dashboard import ORGANIZATIONS, PAUSES, WHOSE
from tests.support.json_types import Json


class Returns(Arrangements):
    """Refunds, disputes, metered items, and customers that name an organization which has one."""

    def charge_of(self, organization: str, which: int) -> str | None:
        """Return one of the organization's paid charges, if any."""
        customer = self.customers.get(organization)
        rows = self.stage.read("/v1/charges", customer=customer) if customer else []
        paid = [str(each["id"]) for each in rows if each["paid"]]
        return paid[which % len(paid)] if paid else None

    @rule(whose=WHOSE, which=st.integers(0, 3), amount=st.sampled_from([1, 200, None]), pause=PAUSES)
    def refund(self, whose: str, which: int, amount: int | None, pause: int) -> None:
        """Refund a charge in part, or the rest of it."""
        if charge := self.charge_of(whose, which):
            params: Json = {"charge": charge} | ({"amount": amount} if amount else {})
            self.stage.allowed(lambda: self.v1.refunds.create(params))
        self.stage.wait(pause)

    @rule(whose=WHOSE, which=st.integers(0, 3), end=st.sampled_from([None, "won", "lost"]), pause=PAUSES)
    def dispute(self, whose: str, which: int, end: str | None, pause: int) -> None:
        """Let a cardholder dispute a charge, or decide its dispute."""
        if charge := self.charge_of(whose, which):
            url = f"{self.stage.sandbox.url}/_sandbox/disputes"
            requests.post(url, json={"charge": charge, "amount": 100}, timeout=5)  # refused if it is disputed
            for each in self.stage.read("/v1/disputes", charge=charge) if end else []:
                requests.post(f"{url}/{each['id']}", json={"status": end}, timeout=5)  # refused if it is decided
        self.stage.wait(pause)

    @rule(whose=WHOSE, pause=PAUSES)
    def meter(self, whose: str, pause: int) -> None:
        """Add a metered item to the newest subscription, as sales does."""
        self.arrange_on_newest(whose, {"items": [{"price": self.prices["metered"]}]})
        self.stage.wait(pause)

    @rule(whose=st.sampled_from(ORGANIZATIONS), pause=PAUSES)
    def name_again(self, whose: str, pause: int) -> None:
        """Create a second customer that names an organization. It never becomes the organization's customer."""
        if whose in self.customers:
            second = self.v1.customers.create({"name": "Second", "metadata": {"organization_id": whose}}).id
            self.subscribe(second, "plus", sent=True)
        self.stage.wait(pause)
