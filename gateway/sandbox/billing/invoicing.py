"""The path of an invoice from draft to finalized to paid.

https://docs.stripe.com/invoicing/integration/workflow-transitions
"""

from dataclasses import replace

from gateway.sandbox.billing import balance, discounts, intents, ledger, taxes
from gateway.sandbox.billing.cycle import Period, parts_of
from gateway.sandbox.billing.ledger import Debit, remember
from gateway.sandbox.billing.lines import for_period, from_pending, lines_of, trial_line
from gateway.sandbox.currencies import minimum_charge
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects import invoice as objects
from gateway.sandbox.objects.subscription import items_of, metered
from gateway.sandbox.settings import DAY
from gateway.sandbox.work import Work

DRAFT_SECONDS = 3600
"""How long a draft waits before its automatic finalization."""


def settle(total: int, before: int, currency: str) -> tuple[int, int]:
    """Return the amount to charge and the balance left over from the balance ``before``.

    Credit is used up first. An amount below the minimum card charge is carried over in the balance.
    """
    due = total + before
    return (due, 0) if due >= minimum_charge(currency) else (0, due)


def pending_items(work: Work, subscription: Json, *, loose: bool) -> list[Json]:
    """Return the subscription's pending invoice items, newest first.

    ``loose`` adds the customer's items that belong to no subscription.
    """
    return [
        item
        for item in work.select("invoiceitem", subscription["customer"])
        if item["invoice"] is None and _belongs(item, subscription, loose=loose)
    ]


def _belongs(item: Json, subscription: Json, *, loose: bool) -> bool:
    if item["currency"] != subscription["currency"]:
        return False
    if item["parent"] is None:
        return loose
    return bool(item["parent"]["subscription_details"]["subscription"] == subscription["id"])


def draft(  # one parameter per decision
    work: Work,
    subscription: Json,
    *,
    reason: str,
    pending: list[Json],
    window: Period,
    lines: list[Json] | None = None,
    invoice_id: str | None = None,
    auto_advance: bool = True,
) -> Json:
    """Draft an invoice of the pending items and of ``lines`` that were made for its ``invoice_id``.

    ``window`` is the invoice's own period. Its items were collected in that time, but its lines may charge for another.
    """
    customer = work.get("customer", subscription["customer"])
    invoice_id = invoice_id or work.ids.new("in")
    lines = from_pending(work, invoice_id, pending) + (lines or [])
    sent = subscription["collection_method"] == "send_invoice"
    invoice = objects.build(work, customer, invoice_id=invoice_id, currency=subscription["currency"], reason=reason)
    invoice |= {
        "auto_advance": auto_advance,
        "automatically_finalizes_at": work.now + DRAFT_SECONDS + 1 if auto_advance else None,
        "collection_method": subscription["collection_method"],
        "due_date": work.now + subscription["days_until_due"] * DAY if sent else None,
        "discounts": discounts.live(work, discounts.of_subscription(work, subscription), window[1]),
        "next_payment_attempt": work.now + DRAFT_SECONDS if auto_advance and not sent else None,
        "parent": objects.parent_of(subscription),
        "period_end": window[1],
        "period_start": window[0],
    } | taxes.of_invoice(subscription)
    invoice = work.add(invoice | put_lines(work, invoice, lines))
    for item in pending:
        work.update(item, {"invoice": invoice_id})
    return invoice


def period_lines(work: Work, invoice_id: str, subscription: Json, periods: dict[str, Period]) -> list[Json]:
    """Return the ordinary lines of the licensed items in ``periods`` (by item id), and record them as billed."""
    found = []
    for item in items_of(subscription):
        if item["id"] in periods and not metered(item["price"]):
            found += _charge_period(work, invoice_id, subscription, item, periods[item["id"]])
    return found


def _charge_period(work: Work, invoice_id: str, subscription: Json, item: Json, period: Period) -> list[Json]:
    lines = for_period(work, invoice_id, item, parts_of(work, subscription, item, period), period)
    if subscription["status"] == "trialing":
        lines = [trial_line(work, item, lines[0])]
    start, end = period
    rates = tuple(item["tax_rates"])
    for line in lines:
        debit = Debit(line["amount"], item["price"], line["quantity"], start, end, end, invoice_id, line["id"])
        remember(work, item["id"], replace(debit, rates=rates))
    return lines


def put_lines(work: Work, invoice: Json, lines: list[Json]) -> Json:
    """Store the draft's lines with their discounts and taxes, and return the invoice's fields that follow from them."""
    moment = invoice["period_end"]
    lines = [line | {"discounts": discounts.live(work, line["discounts"], moment, invoice["id"])} for line in lines]
    lines = discounts.apply(work, lines, invoice["discounts"], invoice["currency"])
    lines = [line | {"taxes": taxes.of_line(work, invoice, line, _net(line))} for line in lines]
    for line in lines:
        ledger.lower(work, line)
    discounts.use_up(work, invoice, lines)
    work.note("lines", invoice["id"], {"data": lines})
    return totals(work, invoice, lines)


def _net(line: Json) -> int:
    return int(line["amount"]) - discounts.total(line["discount_amounts"])


def totals(work: Work, invoice: Json, lines: list[Json]) -> Json:
    """Return the fields that follow from the lines and from the customer's balance.

    The subtotal is before the invoice's discounts, but after those of its lines, as the SDK says of ``Invoice``.
    """
    taken = [entry for line in lines for entry in line["discount_amounts"]]
    taxed = [tax for line in lines for tax in line["taxes"]]
    net = sum(_net(line) for line in lines)
    total = net + taxes.total(taxed, "exclusive")
    before_group = [(line, line["amount"] - discounts.total(discounts.of_line(line))) for line in lines]
    subtotal = sum(amount for _line, amount in before_group)
    included = [tax for line, amount in before_group for tax in taxes.of_line(work, invoice, line, amount)]
    before = work.get("customer", invoice["customer"])["balance"]
    due, _left = settle(total, before, invoice["currency"])
    return {
        "amount_due": due,
        "amount_remaining": due,
        "automatic_tax": taxes.automatic(work, invoice),
        "lines": objects.lines_page(invoice["id"], lines),
        "starting_balance": before,
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal - taxes.total(included, "inclusive"),
        "total": total,
        "total_discount_amounts": discounts.combined(taken),
        "total_excluding_tax": net - taxes.total(taxed, "inclusive"),
        "total_pretax_credit_amounts": [
            entry | {"type": "discount"} for entry in discounts.combined(taken) if entry["amount"]
        ],
        "total_taxes": taxes.combined(taxed),
    }


def finalize(work: Work, invoice: Json, *, collect_at: int | None = None) -> Json:
    """Finalize the draft by giving it a number, settling it with the customer's balance and opening it.

    The events come in the order that users of Stripe report. An invoice with nothing to charge becomes paid
    immediately. ``collect_at`` is the time of its automatic charge.
    """
    if invoice["automatic_tax"]["enabled"]:
        invoice = _compute_tax(work, invoice)
    customer = work.get("customer", invoice["customer"])
    due, left = settle(invoice["total"], customer["balance"], invoice["currency"])
    number = f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04d}"
    changes = {
        "balance": left,
        "currency": invoice["currency"],
        "next_invoice_sequence": customer["next_invoice_sequence"] + 1,
    }
    after = work.update(customer, changes)
    balance.moved(work, customer["balance"], after, "applied_to_invoice", invoice["currency"], invoice["id"])
    hosted = f"{work.url}/i/{invoice['id']}"
    final = {
        "amount_due": due,
        "amount_remaining": due,
        "auto_advance": due > 0 and invoice["auto_advance"],
        "automatically_finalizes_at": None,
        "effective_at": work.now,
        "ending_balance": left,
        "hosted_invoice_url": hosted,
        "invoice_pdf": f"{hosted}/pdf",
        "next_payment_attempt": collect_at if due else None,
        "number": number,
        "starting_balance": customer["balance"],
        "status": "open",
        "status_transitions": invoice["status_transitions"] | {"finalized_at": work.now},
    }
    if due:
        intents.prepare(work, invoice | final)
    opened = work.update(invoice, final, "invoice.updated", "invoice.finalized")
    return opened if due else mark_paid(work, opened, attempts=0, charged=0)


def _compute_tax(work: Work, invoice: Json) -> Json:
    """Compute automatic tax again, because the customer's address may have changed since the invoice was drafted."""
    if not taxes.country_of(work, invoice["customer"]):
        invoice = taxes.give_up(work, invoice)
    return work.amend(invoice, put_lines(work, invoice, lines_of(work, invoice["id"])))


def mark_paid(work: Work, invoice: Json, *, attempts: int, charged: int, attempted: bool = True) -> Json:
    """Mark the invoice as paid. ``charged`` is the amount paid."""
    return work.update(
        invoice,
        {
            "amount_paid": charged,
            "amount_remaining": 0,
            "attempt_count": invoice["attempt_count"] + attempts,
            "attempted": attempted,
            "auto_advance": False,
            "next_payment_attempt": None,
            "status": "paid",
            "status_transitions": invoice["status_transitions"] | {"paid_at": work.now},
        },
        "invoice.updated",
        "invoice.paid",
        "invoice.payment_succeeded",
    )
