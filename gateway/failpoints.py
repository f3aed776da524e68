"""Places where a test lets a process die: between what is committed here and what is done at Stripe."""

import os
from enum import StrEnum

VARIABLE = "GATEWAY_CRASH_POINT"
KILLED = 70  # the exit status of a process that died here


class Failpoint(StrEnum):
    """Each place, named after what has just happened."""

    CUSTOMER_CREATED = "customer_created"
    INTENT_WRITTEN = "intent_written"
    PARAMETERS_FROZEN = "parameters_frozen"
    STRIPE_ANSWERED = "stripe_answered"
    ANSWER_MERGED = "answer_merged"
    PAYMENT_AWAITED = "payment_awaited"
    INVOICE_VOIDED = "invoice_voided"
    CHANGE_ENDED = "change_ended"


def failpoint(point: Failpoint) -> None:
    """Die without a word if the environment asks for it here: no handler runs, no buffer is flushed, as when killed."""
    if os.environ.get(VARIABLE) == point:
        os._exit(KILLED)
