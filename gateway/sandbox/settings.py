"""What a Stripe account sets in its dashboard, and no API call can."""

from dataclasses import dataclass
from typing import Literal

DAY = 86_400


@dataclass(frozen=True)
class Settings:
    """https://docs.stripe.com/billing/revenue-recovery/smart-retries, and Stripe's billing settings.

    ``retry_days``: days from each failed try to the next; after the last one a renewal that is still unpaid leaves its
    subscription as ``after_retries`` says. ``upcoming_days``: how long before a renewal ``invoice.upcoming`` is sent.
    """

    retry_days: tuple[int, ...] = (3, 5, 7)
    after_retries: Literal["canceled", "unpaid", "past_due"] = "canceled"
    upcoming_days: int = 3
