"""Cards as Stripe's older interface shows them (https://docs.stripe.com/api/cards/object).

Stripe also takes the id of such a ``card_…`` wherever it takes a payment method. So the sandbox stores a payment method
with that id, and this module shows it.
"""

from gateway.sandbox.json_types import Json

PREFIX = "card_"


def shown(payment_method: Json) -> Json:
    """Return the card of a stored payment method whose id begins with ``card_``."""
    card, holder = payment_method["card"], payment_method["billing_details"]
    place = holder["address"]
    return {
        "id": payment_method["id"],
        "object": "card",
        "address_city": place["city"],
        "address_country": place["country"],
        "address_line1": place["line1"],
        "address_line1_check": None,
        "address_line2": place["line2"],
        "address_state": place["state"],
        "address_zip": place["postal_code"],
        "address_zip_check": None,
        "allow_redisplay": payment_method["allow_redisplay"],
        "brand": _BRANDS.get(card["brand"], card["brand"].capitalize()),
        "country": card["country"],
        "customer": payment_method["customer"],
        "cvc_check": card["checks"]["cvc_check"],
        "dynamic_last4": None,
        "exp_month": card["exp_month"],
        "exp_year": card["exp_year"],
        "fingerprint": card["fingerprint"],
        "funding": card["funding"],
        "last4": card["last4"],
        "metadata": payment_method["metadata"],
        "name": holder["name"],
        "regulated_status": card["regulated_status"],
        "tokenization_method": None,
    }


_BRANDS = {"amex": "American Express", "diners": "Diners Club", "jcb": "JCB", "mastercard": "MasterCard"}
