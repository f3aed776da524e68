"""Failpoints, where a test kills the process between a commit here and a call to Stripe."""

import os
from enum import StrEnum

VARIABLE = "GATEWAY_FAILPOINT"
KILLED = 70  # the exit status of a process that died at a failpoint


class Failpoint(StrEnum):
    """Each point, named after the step that has just finished."""

    CUSTOMER_CREATED = "customer_created"
    INTENT_WRITTEN = "intent_written"
    PARAMETERS_FROZEN = "parameters_frozen"
    STRIPE_ANSWERED = "stripe_answered"
    ANSWER_MERGED = "answer_merged"
    PAYMENT_AWAITED = "payment_awaited"
    INVOICE_VOIDED = "invoice_voided"
    CHANGE_ENDED = "change_ended"
    BILLING_INTENT_RESERVED = "billing_intent_reserved"
    BILLING_INTENT_ANSWERED = "billing_intent_answered"
    BILLING_INTENT_RELEASED = "billing_intent_released"
    CREDIT_CHARGED_BACK = "credit_charged_back"
    CREDIT_NOTE_ISSUED = "credit_note_issued"
    PLAN_LEFT = "plan_left"
    USAGE_BILLED = "usage_billed"


def failpoint(point: Failpoint) -> None:
    """Kill the process if the environment names this point. It may name several, separated by commas."""
    if point in os.environ.get(VARIABLE, "").split(","):
        kill(point)


def kill(_point: Failpoint) -> None:
    """End the process. As with SIGKILL, no handler runs and no buffer flushes. The simulation replaces this."""
    os._exit(KILLED)
