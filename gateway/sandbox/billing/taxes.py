"""Taxes of invoice lines, from tax rates or from automatic tax.

https://docs.stripe.com/billing/taxes/tax-rates, https://docs.stripe.com/tax/subscriptions. The rates of a line replace
those of its invoice. Tax is charged on what discounts leave. That each tax is rounded like a line is an inference.
"""

from fractions import Fraction

from gateway.sandbox.currencies import step
from gateway.sandbox.errors import StripeError, invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.tax_rate import build
from gateway.sandbox.proration import nearest
from gateway.sandbox.work import Work

_NEEDS_LOCATION = "requires_location_inputs"
_NO_LOCATION = (
    "The customer's location isn't recognized. Set a valid customer address in order to automatically calculate tax."
)
_EXEMPT = {"exempt": "customer_exempt", "reverse": "reverse_charge"}
_OFF: Json = {"disabled_reason": None, "enabled": False, "liability": None}
_ON: Json = {"disabled_reason": None, "enabled": True, "liability": {"type": "self"}}


def chosen(work: Work, given: list[str] | str, param: str) -> list[Json]:
    """Return the tax rates that a request names. An empty string names none."""
    found = [work.get("tax_rate", rate, param=param, status=400) for rate in given or ()]
    for rate in found:
        if not rate["active"]:
            raise invalid(f"The tax rate {rate['id']} is inactive.", param=param)  # inferred wording
    return found


def requested(work: Work, old: Json, params: Json) -> Json:
    """Return the fields of a subscription or an invoice that a request changes, {} for none."""
    fields: Json = {}
    if "default_tax_rates" in params:
        fields["default_tax_rates"] = chosen(work, params["default_tax_rates"], "default_tax_rates")
    if "automatic_tax" in params:
        fields["automatic_tax"] = old["automatic_tax"] | (_ON if params["automatic_tax"]["enabled"] else _OFF)
    after = old | fields
    if fields and after["automatic_tax"]["enabled"] and after["default_tax_rates"]:
        raise invalid("You cannot set `default_tax_rates` with automatic tax.", param="default_tax_rates")  # inferred
    return fields


def require_location(work: Work, params: Json, customer: str) -> None:
    """Raise 400 if the request turns on automatic tax for a customer whose country is unknown.

    https://docs.stripe.com/error-codes#customer-tax-location-invalid
    """
    if params.get("automatic_tax", {}).get("enabled") and not country_of(work, customer):
        raise no_location()


def no_location() -> StripeError:
    """Return the error for a customer whose country is unknown."""
    return invalid(_NO_LOCATION, code="customer_tax_location_invalid")


def country_of(work: Work, customer: str) -> str | None:
    """Return the country of the customer's address, or None."""
    address = (work.find("customer", customer) or {"address": None})["address"]
    return address["country"] if address else None


def of_invoice(subscription: Json) -> Json:
    """Return the fields that an invoice takes from its subscription."""
    enabled = subscription["automatic_tax"]["enabled"]
    automatic = (_ON if enabled else _OFF) | {"provider": None, "status": None}
    return {"automatic_tax": automatic, "default_tax_rates": subscription["default_tax_rates"]}


def automatic(work: Work, invoice: Json) -> Json:
    """Return the invoice's ``automatic_tax`` with its provider and status."""
    shown: Json = {"provider": None, "status": None}
    if invoice["automatic_tax"]["enabled"]:
        status = "complete" if country_of(work, invoice["customer"]) else _NEEDS_LOCATION
        shown = {"provider": "stripe", "status": status}
    return {**invoice["automatic_tax"], **shown}


def keep_rates(work: Work, line: Json, rates: list[Json]) -> None:
    """Note a line's own tax rates, which the line does not show."""
    if rates:
        work.note("tax_rates", line["id"], {"rates": rates})


def of_line(work: Work, invoice: Json, line: Json, amount: int) -> list[Json]:
    """Return the taxes on ``amount``, which is what discounts leave of the line."""
    own = (work.recall("tax_rates", line["id"]) or {"rates": invoice["default_tax_rates"]})["rates"]
    if own or not invoice["automatic_tax"]["enabled"]:
        return _taxes(work, invoice, amount, own, "not_available")
    country = country_of(work, invoice["customer"])
    if country is None:
        return []
    percentage = work.settings.tax_percentages.get(country)
    rate = _automatic_rate(work, country, percentage or 0, inclusive=_is_inclusive(work, line))
    return _taxes(work, invoice, amount, [rate], "not_collecting" if percentage is None else "standard_rated")


def _taxes(work: Work, invoice: Json, amount: int, rates: list[Json], reason: str) -> list[Json]:
    """Return the tax of each rate. Inclusive taxes are part of the amount, and exclusive ones are added to it."""
    exempt = _EXEMPT.get((work.find("customer", invoice["customer"]) or {"tax_exempt": "none"})["tax_exempt"])
    percentages = {rate["id"]: Fraction(0 if exempt else str(rate["percentage"])) / 100 for rate in rates}
    base = amount / (1 + sum((percentages[rate["id"]] for rate in rates if rate["inclusive"]), Fraction(0)))
    unit = step(invoice["currency"])
    parts = {rate_id: nearest(base * percentage, unit) for rate_id, percentage in percentages.items()}
    taxable = amount - sum(parts[rate["id"]] for rate in rates if rate["inclusive"])
    return [
        {
            "amount": parts[rate["id"]],
            "tax_behavior": "inclusive" if rate["inclusive"] else "exclusive",
            "tax_rate_details": {"tax_rate": rate["id"]},
            "taxability_reason": exempt or reason,
            "taxable_amount": 0 if exempt or reason == "not_collecting" else taxable,
            "type": "tax_rate_details",
        }
        for rate in rates
    ]


def _is_inclusive(work: Work, line: Json) -> bool:
    """Return whether the line's price includes tax. That an unspecified behavior excludes it is an inference."""
    price = work.find("price", line["pricing"]["price_details"]["price"]) if line["pricing"] else None
    return bool(price and price["tax_behavior"] == "inclusive")


def _automatic_rate(work: Work, country: str, percentage: float, *, inclusive: bool) -> Json:
    """Return the tax rate of a country's automatic tax, which the first tax there creates."""
    name = f"{country} {percentage} {inclusive}"
    noted = work.recall("automatic_rate", name)
    if noted:
        return work.get("tax_rate", noted["rate"])
    params = {"active": False, "country": country, "display_name": "Tax", "percentage": percentage}
    rate = build(work, params | {"inclusive": inclusive, "jurisdiction": country, "jurisdiction_level": "country"})
    work.keep(rate)
    work.note("automatic_rate", name, {"rate": rate["id"]})
    return rate


def total(taxes: list[Json], behavior: str) -> int:
    """Return the sum of the ``inclusive`` or ``exclusive`` taxes in minor units."""
    return sum(int(tax["amount"]) for tax in taxes if tax["tax_behavior"] == behavior)


def combined(taxes: list[Json]) -> list[Json]:
    """Return one entry per tax rate with the sums of its taxes."""
    sums: dict[str, Json] = {}
    for tax in taxes:
        rate = tax["tax_rate_details"]["tax_rate"]
        before = sums.get(rate, {"amount": 0, "taxable_amount": 0})
        sums[rate] = tax | {key: before[key] + tax[key] for key in ("amount", "taxable_amount")}
    return list(sums.values())


def give_up(work: Work, invoice: Json) -> Json:
    """Turn off the automatic tax of a subscription's invoice that cannot be computed, and return the invoice.

    Its subscription loses it too. A manual invoice is refused instead.
    """
    if invoice["parent"] is None:
        raise no_location()
    subscription = work.find("subscription", invoice["parent"]["subscription_details"]["subscription"])
    if subscription:
        work.update(subscription, {"automatic_tax": _OFF | {"disabled_reason": _NEEDS_LOCATION}})
    off = _OFF | {"disabled_reason": f"finalization_{_NEEDS_LOCATION}", "provider": None, "status": None}
    return work.amend(invoice, {"automatic_tax": off})
