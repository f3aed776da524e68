"""The rules for cardholders: approve a payment, cancel it, or detach a card right after attaching it."""

from contextlib import suppress

from hypothesis import strategies as st
from hypothesis.stateful import rule
from sqlalchemy import select

from gateway.db.models import PlanChange
from gateway.errors import GatewayError
from gateway.services.plan_changes.payment import abandon_change
from gateway.services.plan_changes.request import change_plan
from schemas.changes import ChangeCommand
from tests.stateful.convergence.dashboard import CARD_REQUIRING_ACTION, PAUSES, WHOSE
from tests.stateful.convergence.network import FORMS, PICKS
from tests.stateful.convergence.workers import MEANWHILE, Workers


class Holders(Workers):
    """Changes that wait for a payment, which expires without an action, and cards that are soon detached."""

    def waiting(self, organization: str) -> PlanChange | None:
        """Return the organization's change that waits for its payment, if any."""
        query = select(PlanChange).where(
            PlanChange.organization_id == organization, PlanChange.state == "requires_action"
        )
        with self.stage.gateway.database.transaction() as session:
            return session.scalar(query)

    @rule(whose=WHOSE, quantity=st.integers(1, 3), pause=PAUSES)
    def upgrade_with_a_card_that_asks(self, whose: str, quantity: int, pause: int) -> None:
        """Upgrade with a card that requires approval. If Plus is charged immediately, the change waits."""
        self.change_card(whose, CARD_REQUIRING_ACTION, 0)
        with suppress(GatewayError):
            command = ChangeCommand(plan="plus", quantity=quantity)
            change_plan(self.stage.gateway, self.stage.caller(whose), command)
        self.stage.wait(pause)

    @rule(whose=WHOSE, pause=PAUSES)
    def approve(self, whose: str, pause: int) -> None:
        change = self.waiting(whose)
        if change is not None and change.client_secret is not None:
            intent = change.client_secret.partition("_secret_")[0]
            self.stage.allowed(lambda: self.v1.payment_intents.confirm(intent))
        self.stage.wait(pause)

    @rule(whose=WHOSE, meanwhile=MEANWHILE, picks=PICKS, approved=st.booleans(), pause=PAUSES)
    def call_off(self, whose: str, meanwhile: str | None, picks: list[int], pause: int, *, approved: bool) -> None:
        """Cancel the waiting change, sometimes just after its payment."""
        if (change := self.waiting(whose)) is not None:
            if approved:
                self.approve(whose, 0)
            self.plan_meanwhile(meanwhile, whose, picks)
            with suppress(GatewayError):
                abandon_change(self.stage.gateway, self.stage.caller(whose), change.id)
            self.stage.line.forget()
        self.stage.wait(pause)

    @rule(whose=WHOSE, form=st.sampled_from(FORMS), backwards=st.booleans(), drains=st.booleans())
    def come_and_go(self, whose: str, form: str, *, backwards: bool, drains: bool) -> None:
        """Detach a card before its events arrive. Stripe then no longer says whose card it was."""
        self.listen()
        if customer := self.customers.get(whose):
            card = self.v1.payment_methods.attach("pm_card_visa", {"customer": customer}).id
            self.v1.payment_methods.detach(card)
            before = len(self.on_its_way)
            self.listen()
            for _ in range(len(self.on_its_way) - before):
                self.deliver_next(-1 if backwards else before, form, "none")
                if drains:
                    self.stage.drain()
