"""Amounts of money as a person reads them in an error's detail."""

from decimal import Decimal

# https://docs.stripe.com/currencies
ZERO_DECIMAL = frozenset(
    {"bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"}
)
THREE_DECIMAL = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})


def format_amount(amount: int, currency: str) -> str:
    """Return an amount in minor units with its currency, such as ``USD 12.50``."""
    decimals = 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2
    return f"{currency.upper()} {Decimal(amount).scaleb(-decimals):,.{decimals}f}"
