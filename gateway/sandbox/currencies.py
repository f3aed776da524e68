"""Which currencies there are, how small they go, and the least a card is charged (https://docs.stripe.com/currencies)."""

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
"""As Stripe's own message lists them."""
_ZERO_DECIMAL = {
    "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf",
}  # fmt: skip
"""Without ISK and UGX, whose amounts Stripe still takes with two decimals."""
_THREE_DECIMAL = {"bhd", "jod", "kwd", "omr", "tnd"}
_MINIMUM_CHARGE = {
    "aed": 200, "czk": 1500, "dkk": 250, "gbp": 30, "hkd": 400, "huf": 17500, "mxn": 1000, "myr": 200, "nok": 300,
    "pln": 200, "ron": 200, "sek": 300, "thb": 1000,
}  # fmt: skip
"""Those that differ from 0.50 (https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts)."""
_SYMBOLS = {
    "aud": "A$", "brl": "R$", "cad": "CA$", "cny": "CN¥", "eur": "€", "gbp": "£", "hkd": "HK$", "ils": "₪", "inr": "₹",
    "jpy": "¥", "krw": "₩", "mxn": "MX$", "nzd": "NZ$", "php": "₱", "twd": "NT$", "usd": "$", "vnd": "₫",
}  # fmt: skip
"""As the Unicode locale data for English has them; others show their code."""


def known(currency: str, param: str = "currency") -> str:
    """The code in lower case, as Stripe keeps it; 400 if there is no such currency."""
    if currency.lower() not in SUPPORTED.split(", "):
        text = f"Invalid currency: {currency}. Stripe currently supports these currencies: {SUPPORTED}"
        raise invalid(text, param=param)
    return currency.lower()


def digits(currency: str) -> int:
    """How many decimals the currency has: an amount of 1 is 1/10**digits of it."""
    if currency in _ZERO_DECIMAL:
        return 0
    return 3 if currency in _THREE_DECIMAL else 2


def step(currency: str) -> int:
    """Computed amounts are multiples of this.

    Payments in three-decimal currencies must end in 0. That Stripe Billing rounds each line so is an inference: a sum
    of lines could not be paid otherwise.
    """
    return 10 if currency in _THREE_DECIMAL else 1


def minimum_charge(currency: str) -> int:
    """The least that a card is charged, in minor units.

    For currencies without a documented minimum Stripe converts that of the account's own currency. Nothing is
    converted here: they get 0.50 as most have, or 50 without decimals as the yen has.
    """
    default = 500 if digits(currency) == 3 else 50  # noqa: PLR2004 - three decimals
    return _MINIMUM_CHARGE.get(currency, default)


def money(amount: Decimal, currency: str) -> str:
    """An amount in minor units as descriptions show it: ``$1,234.50``, ``$0.036``, ``¥500``, ``KWD 1.500``."""
    value = amount.scaleb(-digits(currency)).normalize()
    exponent = value.as_tuple().exponent
    places = max(digits(currency), -exponent if isinstance(exponent, int) else 0)
    return f"{_SYMBOLS.get(currency, f'{currency.upper()} ')}{value:,.{places}f}"


def shown(amount: int, currency: str) -> str:
    """An amount to be paid or given back, as pages show it: ``-$19.99``."""
    return f"{'-' if amount < 0 else ''}{money(Decimal(abs(amount)), currency)}"
