"""The lines of a credit note, from the ``amount`` or the ``lines`` of a request.

https://docs.stripe.com/invoicing/integration/programmatic-credit-notes. The texts of the errors are inferred.
"""

from decimal import Decimal
from fractions import Fraction

from gateway.sandbox.billing.lines import lines_of, plain
from gateway.sandbox.currencies import step
from gateway.sandbox.errors import invalid, required
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.credit_note import build_line
from gateway.sandbox.proration import nearest
from gateway.sandbox.work import Work

_ONE_FORM = "You must pass exactly one of `amount` and `lines`."
_ONE_MEASURE = "A credit note line must have either an `amount` or a `quantity`."
_TWO_MEASURES = "The invoice line item was credited by {0} before. It can only be credited by {0} again."
_TOO_MUCH = "The credit exceeds what is left to credit of the invoice line item {}."
_FIELDS = {
    "custom_line_item": {"type", "metadata", "description", "quantity", "unit_amount"},
    "invoice_line_item": {"type", "metadata", "invoice_line_item", "amount", "quantity"},
}
"""Which fields each type of line takes, as the SDK says of ``CreditNoteCreateParamsLine``."""
_PLACES = Decimal(1).scaleb(-12)
"""Stripe gives a decimal unit amount at most 12 decimal places."""


def requested(work: Work, invoice: Json, earlier: list[Json], params: Json) -> list[Json]:
    """Return the lines that a request asks for. ``earlier`` holds the lines of the invoice's other credit notes.

    That a credit note of a bare ``amount`` has one custom line is an inference.
    """
    if ("amount" in params) == bool(params.get("lines")):
        raise invalid(_ONE_FORM, param="amount")
    if "amount" in params:
        return [_priced(work, {"quantity": 1, "unit_amount": params["amount"]})]
    found: list[Json] = []
    for index, wanted in enumerate(params["lines"]):
        param = f"lines[{index}]"
        for name in sorted(wanted.keys() - _FIELDS[wanted["type"]]):
            raise invalid(f"`{name}` is not valid for a line of the type `{wanted['type']}`.", param=f"{param}[{name}]")
        if wanted["type"] == "custom_line_item":
            found.append(_custom(work, wanted, param))
        else:
            found.append(_of_invoice_line(work, invoice, [*earlier, *found], wanted, param))
    return found


def _custom(work: Work, wanted: Json, param: str) -> Json:
    for name in ("description", "quantity", "unit_amount"):
        if name not in wanted:
            raise required(f"{param}[{name}]")
    return _priced(work, wanted)


def _priced(work: Work, wanted: Json) -> Json:
    quantity, unit = wanted["quantity"], wanted["unit_amount"]
    line = build_line(
        work,
        "custom_line_item",
        amount=quantity * unit,
        description=wanted.get("description"),
        metadata=wanted.get("metadata") or {},
    )
    return line | {"quantity": quantity, "unit_amount": unit, "unit_amount_decimal": str(unit)}


def _of_invoice_line(work: Work, invoice: Json, others: list[Json], wanted: Json, param: str) -> Json:
    if "invoice_line_item" not in wanted:
        raise required(f"{param}[invoice_line_item]")
    if ("amount" in wanted) == ("quantity" in wanted):
        raise invalid(_ONE_MEASURE, param=param)
    billed = {line["id"]: line for line in lines_of(work, invoice["id"])}.get(wanted["invoice_line_item"])
    if billed is None:
        text = f"No such invoice line item: '{wanted['invoice_line_item']}'"
        raise invalid(text, param=f"{param}[invoice_line_item]", code="resource_missing")
    measure = "amount" if "amount" in wanted else "quantity"
    credited = [line for line in others if line.get("invoice_line_item") == billed["id"]]
    if any((line["quantity"] is None) != (measure == "amount") for line in credited):
        raise invalid(
            _TWO_MEASURES.format("quantity" if measure == "amount" else "amount"), param=f"{param}[{measure}]"
        )
    _refuse_excess(billed, wanted[measure] + sum(line[measure] for line in credited), measure, param)
    line = build_line(
        work,
        "invoice_line_item",
        amount=_worth(invoice, billed, wanted),
        description=billed["description"],
        metadata=wanted.get("metadata") or {},
    )
    parts = _parts(billed, line["amount"], step(invoice["currency"]))
    return line | parts | {"invoice_line_item": billed["id"]} | _units(billed, wanted)


def _parts(billed: Json, amount: int, unit: int) -> Json:
    """Return the discounts and taxes that are credited with an ``amount`` of the line, in proportion.

    Each part is rounded like a line, which is an inference.
    """
    share = Fraction(amount, billed["amount"]) if billed["amount"] else Fraction(0)
    off = [entry | {"amount": nearest(entry["amount"] * share, unit)} for entry in billed["discount_amounts"]]
    taxes = [
        tax | {key: nearest(tax[key] * share, unit) for key in ("amount", "taxable_amount")} for tax in billed["taxes"]
    ]
    return {
        "discount_amount": sum(entry["amount"] for entry in off),
        "discount_amounts": off,
        "pretax_credit_amounts": [entry | {"type": "discount"} for entry in off],
        "taxes": taxes,
    }


def _refuse_excess(billed: Json, credited: int, measure: str, param: str) -> None:
    """Raise 400 unless ``credited`` has the sign of the line and is not more than the line."""
    low, high = sorted((0, billed[measure]))
    if not low <= credited <= high:
        raise invalid(_TOO_MUCH.format(billed["id"]), param=f"{param}[{measure}]")


def _worth(invoice: Json, billed: Json, wanted: Json) -> int:
    if "amount" in wanted:
        return int(wanted["amount"])
    share = Fraction(billed["amount"] * wanted["quantity"], billed["quantity"])
    return nearest(share, step(invoice["currency"]))


def _units(billed: Json, wanted: Json) -> Json:
    if "amount" in wanted:
        return {}
    unit = (Decimal(billed["amount"]) / billed["quantity"]).quantize(_PLACES)
    whole = int(unit) if unit == int(unit) else None
    return {"quantity": wanted["quantity"], "unit_amount": whole, "unit_amount_decimal": plain(unit)}
