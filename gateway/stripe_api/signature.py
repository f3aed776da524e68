"""The ``Stripe-Signature`` check.

https://docs.stripe.com/webhooks#verify-manually
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from stripe import SignatureVerificationError, WebhookSignature

from gateway.errors import WebhookRefused


def verify(body: bytes, header: str | None, secrets: Sequence[str], now: datetime, tolerance: timedelta) -> int:
    """Check that ``body`` was signed with one of ``secrets`` within ``tolerance`` of ``now``; gives that one's place.

    Several secrets are valid while one is rolled. The SDK checks the HMAC; around it stands what it leaves open
    (SDK 16.1): it raises TypeError on a non-ASCII signature, UnicodeDecodeError on a body that is not UTF-8, and lets
    a timestamp in the future pass. Raises WebhookRefused.
    """
    if header is None or not header.isascii():
        raise WebhookRefused("The Stripe-Signature header is missing or not ASCII.")
    matching = (place for place, secret in enumerate(secrets) if matches(body, header, secret))
    if (found := next(matching, None)) is None:
        raise WebhookRefused("No signature in the Stripe-Signature header matches the body.")
    if abs(int(now.timestamp()) - signed_at(header)) > tolerance.total_seconds():
        raise WebhookRefused("The signature's timestamp is too far from now.")
    return found


def matches(body: bytes, header: str, secret: str) -> bool:
    """Whether ``header`` carries a v1 signature of ``body`` by ``secret``, whatever its age."""
    try:
        return bool(WebhookSignature.verify_header(body, header, secret))
    except (SignatureVerificationError, UnicodeDecodeError):
        return False


def signed_at(header: str) -> int:
    """The first ``t=`` of a header that ``matches``: the one that the signature covers. Unix seconds."""
    return int(next(part.split("=")[1] for part in header.split(",") if part.startswith("t=")))
