"""Amounts of money as people read them."""

_SYMBOLS = {"usd": "$", "cad": "CA$", "eur": "€", "gbp": "£"}
_WITHOUT_MINOR_UNIT = {"bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga"} | {
    "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf",
}  # fmt: skip
_IN_THOUSANDTHS = {"bhd", "jod", "kwd", "omr", "tnd"}
"""https://docs.stripe.com/currencies#minor-units."""


def shown(amount: int, currency: str) -> str:
    """``shown(-1999, "usd")`` → ``-$19.99``."""
    places = 0 if currency in _WITHOUT_MINOR_UNIT else 3 if currency in _IN_THOUSANDTHS else 2
    symbol = _SYMBOLS.get(currency, currency.upper() + " ")
    return f"{'-' if amount < 0 else ''}{symbol}{abs(amount) / 10**places:,.{places}f}"
