"""How long Stripe knows an idempotency key."""

from datetime import timedelta

KEY_LIFETIME = timedelta(hours=23)  # Stripe forgets a key after 24 hours, and a later try could act twice
