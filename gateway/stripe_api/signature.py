"""The ``Stripe-Signature`` check.

https://docs.stripe.com/webhooks#verify-manually
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from stripe import SignatureVerificationError, WebhookSignature

from gateway.errors import WebhookRefused


def verify(body: bytes, header: str | None, secrets: Sequence[str], now: datetime, tolerance: timedelta) -> int:
    """Check that one of ``secrets`` signed ``body`` within ``tolerance`` of ``now``, and return that secret's index.

    Several secrets are valid while an operator rolls one. The SDK checks the HMAC, and this function closes three gaps
    that SDK 16.1 leaves. The SDK raises TypeError for a non-ASCII signature. It raises UnicodeDecodeError for a body
    that is not UTF-8. It accepts a timestamp in the future. Raise WebhookRefused.
    """
    if header is None or not header.isascii():
        raise WebhookRefused("The Stripe-Signature header is missing or not ASCII.")
    matching = (index for index, secret in enumerate(secrets) if matches(body, header, secret))
    if (found := next(matching, None)) is None:
        raise WebhookRefused("No signature in the Stripe-Signature header matches the body.")
    if abs(int(now.timestamp()) - signed_at(header)) > tolerance.total_seconds():
        raise WebhookRefused("The signature's timestamp is too far from the current time.")
    return found


def matches(body: bytes, header: str, secret: str) -> bool:
    """Return whether ``header`` carries a v1 signature of ``body`` by ``secret``, regardless of its age."""
    try:
        return bool(WebhookSignature.verify_header(body, header, secret))
    except (SignatureVerificationError, UnicodeDecodeError):
        return False


def signed_at(header: str) -> int:
    """Return the timestamp of a header that ``matches``, in Unix seconds. The signature covers the first ``t=``."""
    return int(next(part.split("=")[1] for part in header.split(",") if part.startswith("t=")))
