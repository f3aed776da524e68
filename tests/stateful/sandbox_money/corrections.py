"""What people correct by hand: credit notes, debts written off, extra items and deleted ones."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.stateful.sandbox_money.subscriptions import SUBSCRIPTIONS, Subscriptions
from tests.support.json_types import Json

CREDITABLE = ("open", "paid", "uncollectible")
WHICH = st.integers(0, 3)


class Corrections(Subscriptions):
    """Each correction is one request. Stripe may refuse it, which the model need not predict."""

    @precondition(lambda self: self.in_status("invoice", *CREDITABLE))
    @rule(
        which=WHICH,
        part=st.sampled_from([0.1, 0.5, 0.98, 1, 1]),
        form=st.sampled_from(["amount", "custom_line_item", "invoice_line_item"]),
        outside=st.booleans(),
    )
    def credit(self, which: int, part: float, form: str, outside: bool) -> None:
        """Credit a part of the remaining amount. The paid part goes to the balance or is refunded elsewhere."""
        found = self.in_status("invoice", *CREDITABLE)
        invoice = self.v1.invoices.retrieve(found[which % len(found)]).to_dict(for_json=True)
        credited = invoice["pre_payment_credit_notes_amount"] + invoice["post_payment_credit_notes_amount"]
        creditable = invoice["total"] - credited
        if creditable > 0:
            self._credit(invoice, max(1, int(creditable * part)), form, outside=outside)

    def _credit(self, invoice: Json, amount: int, form: str = "amount", *, outside: bool = False) -> None:
        given_back = max(0, amount - invoice["amount_remaining"])
        params: Json = {"invoice": invoice["id"]}
        if form == "amount":
            params["amount"] = amount
        elif form == "custom_line_item":
            params["lines"] = [{"type": form, "description": "Sorry", "quantity": 1, "unit_amount": amount}]
        else:
            line = max(invoice["lines"]["data"], key=lambda line: int(line["amount"]))
            params["lines"] = [{"type": form, "invoice_line_item": line["id"], "amount": amount}]
        if given_back:
            params["out_of_band_amount" if outside else "credit_amount"] = given_back
        self.world.post("credit", lambda options: self.v1.credit_notes.create(params, options))

    @precondition(lambda self: self.in_status("credit_note", "issued"))
    @rule(which=WHICH)
    def void_credit_note(self, which: int) -> None:
        found = self.in_status("credit_note", "issued")
        note = found[which % len(found)]
        self.world.post("void note", lambda options: self.v1.credit_notes.void_credit_note(note, {}, options))

    @precondition(lambda self: self.in_status("invoice", "open"))
    @rule(which=WHICH)
    def write_off(self, which: int) -> None:
        found = self.in_status("invoice", "open")
        invoice = found[which % len(found)]
        self.world.post("write off", lambda options: self.v1.invoices.mark_uncollectible(invoice, {}, options))

    @precondition(lambda self: self.subscriptions)
    @rule(subscription=SUBSCRIPTIONS, amount=st.sampled_from([-900, -250, 400]))
    def bill_with_subscription(self, subscription: str, amount: int) -> None:
        params = {"customer": self.customer, "subscription": subscription, "amount": amount}
        self.world.post("item", lambda options: self.v1.invoice_items.create(params, options))

    @rule(which=WHICH)
    def delete_pending(self, which: int) -> None:
        """Delete a pending item.

        An item of usage stays, because the model wants every unit billed. So does one that names no subscription.
        """
        found = [row for row in self.pending(self.customer).values() if row["parent"] and _is_deletable(row)]
        if found:
            item = found[which % len(found)]["id"]
            self.world.delete("delete item", lambda options: self.v1.invoice_items.delete(item, {}, options))


def _is_deletable(row: Json) -> bool:
    return bool(row["proration"] or row["parent"]["subscription_details"]["subscription_item"] is None)
