"""Stripe's currencies, their decimals and their minimum card charges (https://docs.stripe.com/currencies)."""

from decimal import Decimal

from gateway.sandbox.errors import invalid

SUPPORTED = (
    "usd, aed, afn, all, amd, ang, aoa, ars, aud, awg, azn, bam, bbd, bdt, bgn, bhd, bif, bmd, bnd, bob, brl, bsd, "
    "bwp, byn, bzd, cad, cdf, chf, clp, cny, cop, crc, cve, czk, djf, dkk, dop, dzd, egp, etb, eur, fjd, fkp, gbp, "
    "gel, gip, gmd, gnf, gtq, gyd, hkd, hnl, hrk, htg, huf, idr, ils, inr, isk, jmd, jod, jpy, kes, kgs, khr, kmf, "
    "krw, kwd, kyd, kzt, lak, lbp, lkr, lrd, lsl, mad, mdl, mga, mkd, mmk, mnt, mop, mro, mur, mvr, mwk, mxn, myr, "
    "mzn, nad, ngn, nio, nok, npr, nzd, omr, pab, pen, pgk, php, pkr, pln, pyg, qar, ron, rsd, rub, rwf, sar, sbd, "
    "scr, sek, sgd, shp, sle, sll, sos, srd, std, szl, thb, tjs, tnd, top, try, ttd, twd, tzs, uah, ugx, uyu, uzs, "
    "vnd, vuv, wst, xaf, xcd, xcg, xof, xpf, yer, zar, zmw"
)
"""The currencies in the order of Stripe's own error message."""
_ZERO_DECIMAL = {
    "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf",
}  # fmt: skip
"""ISK and UGX are left out because Stripe still takes their amounts with two decimals."""
_THREE_DECIMAL = {"bhd", "jod", "kwd", "omr", "tnd"}
_MINIMUM_CHARGE = {
    "aed": 200, "czk": 1500, "dkk": 250, "gbp": 30, "hkd": 400, "huf": 17500, "mxn": 1000, "myr": 200, "nok": 300,
    "pln": 200, "ron": 200, "sek": 300, "thb": 1000,
}  # fmt: skip
"""Minimums other than 0.50 (https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts)."""
_SYMBOLS = {
    "aud": "A$", "brl": "R$", "cad": "CA$", "cny": "CN¥", "eur": "€", "gbp": "£", "hkd": "HK$", "ils": "₪", "inr": "₹",
    "jpy": "¥", "krw": "₩", "mxn": "MX$", "nzd": "NZ$", "php": "₱", "twd": "NT$", "usd": "$", "vnd": "₫",
}  # fmt: skip
"""Symbols from the Unicode locale data for English. Other currencies show their code."""


def known(currency: str, param: str = "currency") -> str:
    """Return the code in lower case, as Stripe stores it. Raise 400 if Stripe does not support the currency."""
    if currency.lower() not in SUPPORTED.split(", "):
        text = f"Invalid currency: {currency}. Stripe currently supports these currencies: {SUPPORTED}"
        raise invalid(text, param=param)
    return currency.lower()


def digits(currency: str) -> int:
    """Return the number of decimals. An amount of 1 is worth 1/10**digits of the currency."""
    if currency in _ZERO_DECIMAL:
        return 0
    return 3 if currency in _THREE_DECIMAL else 2


def step(currency: str) -> int:
    """Return the unit to which computed amounts are rounded.

    Payments in three-decimal currencies must end in 0. It is an inference that Stripe Billing rounds each line this
    way. Otherwise the total of an invoice could not be paid.
    """
    return 10 if currency in _THREE_DECIMAL else 1


def minimum_charge(currency: str) -> int:
    """Return the smallest amount that a card is charged, in minor units.

    For currencies without a documented minimum, Stripe converts the minimum of the account's own currency. The sandbox
    converts nothing. It uses 0.50, like most currencies, or 50 for currencies without decimals, like the yen.
    """
    default = 500 if digits(currency) == 3 else 50  # noqa: PLR2004 - three decimals
    return _MINIMUM_CHARGE.get(currency, default)


def money(amount: Decimal, currency: str) -> str:
    """Format an amount in minor units for descriptions, such as ``$1,234.50``, ``$0.036``, ``¥500``, ``KWD 1.500``."""
    value = amount.scaleb(-digits(currency)).normalize()
    exponent = value.as_tuple().exponent
    places = max(digits(currency), -exponent if isinstance(exponent, int) else 0)
    return f"{_SYMBOLS.get(currency, f'{currency.upper()} ')}{value:,.{places}f}"


def shown(amount: int, currency: str) -> str:
    """Format an amount to pay or to credit as pages show it, such as ``-$19.99``."""
    return f"{'-' if amount < 0 else ''}{money(Decimal(abs(amount)), currency)}"
