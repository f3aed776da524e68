"""Trials, which are free time before the first charge (https://docs.stripe.com/billing/subscriptions/trials)."""

from gateway.sandbox.billing import cancel, collection, on_file, pausing, scheduled_end, sending
from gateway.sandbox.billing.cycle import period_at
from gateway.sandbox.billing.renewal import next_period
from gateway.sandbox.errors import invalid, not_built
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects import setup_intent
from gateway.sandbox.objects.subscription import cut_short, items_of, with_items
from gateway.sandbox.settings import DAY
from gateway.sandbox.store import Store
from gateway.sandbox.work import Work

_ANNOUNCED_DAYS = 3
_LONGEST_DAYS = 2 * 365


def wanted(work: Work, params: Json) -> int | None:
    """Return when the requested trial ends, or None if the request asks for none."""
    trial_end = params.get("trial_end")
    if trial_end and params.get("trial_from_plan"):
        raise invalid("You cannot set both `trial_end` and `trial_from_plan`.", param="trial_end")
    if trial_end == "now":
        return None
    if trial_end is not None and trial_end <= work.now:
        text = (
            "The parameter `trial_end` expects a unix timestamp representing a date and time in the future. "
            f"You specified the value `{trial_end}` which is in the past."
        )
        raise invalid(text, param="trial_end")
    days = params.get("trial_period_days")
    if days is not None and days < 0:
        raise invalid("Invalid non-negative integer", param="trial_period_days", code="parameter_invalid_integer")
    end = trial_end or (work.now + days * DAY if days else None)
    if end and end > work.now + _LONGEST_DAYS * DAY:
        name = "trial_end" if trial_end else "trial_period_days"
        raise invalid("A trial can last two years at most.", param=name)  # the SDK gives only the limit
    return end


def first(work: Work, params: Json) -> Json:
    """Return the fields of a new subscription's trial, {} without one."""
    end = wanted(work, params)
    if end is None:
        return {}
    return {"billing_cycle_anchor": end, "status": "trialing", "trial_end": end, "trial_start": work.now}


def ask_for_card(work: Work, subscription: Json) -> Json:
    """Return the field with a new setup intent if the trial's customer has no card yet, else {}."""
    if sending.is_sent(subscription) or on_file.method(work, subscription, subscription["customer"]):
        return {}
    intent = work.add(setup_intent.build(work, {"customer": subscription["customer"]}))
    return {"pending_setup_intent": intent["id"]}


def moved(work: Work, subscription: Json, params: Json) -> Json:
    """Return the fields of a trial that now ends at another time, or that a running subscription now begins.

    Stripe prorates the period that such a trial cuts short. That is not built. That Stripe makes no invoice for the
    trial of a running subscription is an inference, as is that it asks for no card.
    """
    end = wanted(work, params)
    trial: Json = {"billing_cycle_anchor": end, "trial_end": end}
    if subscription["status"] != "trialing":
        if subscription["status"] != "active" or params.get("proration_behavior") != "none":
            raise not_built("a prorated trial for a subscription that is not new", "trial_end")
        trial |= {"status": "trialing", "trial_start": work.now}
    after = subscription | trial
    items = []
    for item in items_of(subscription):
        start, over = period_at(after, item["price"], work.now)
        items.append(item | {"current_period_end": over, "current_period_start": start})
    fields = with_items(subscription, items) | scheduled_end.following(subscription, items)
    return trial | fields


def refuse_sent(subscription: Json) -> None:
    """Raise 400 if the trial is to end without a card, but the subscription's invoices are sent.

    Stripe's text is not recorded. https://docs.stripe.com/billing/subscriptions/trials
    """
    how = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
    if how == "cancel" and sending.is_sent(subscription):
        text = "`missing_payment_method` cannot be `cancel` if the collection method is `send_invoice`."
        raise invalid(text, param="trial_settings[end_behavior][missing_payment_method]")


def announcement(subscription: Json) -> int:
    """Return when to send ``customer.subscription.trial_will_end``.

    That is three days before the end, or the start of a shorter trial.
    """
    return max(int(subscription["trial_end"]) - _ANNOUNCED_DAYS * DAY, int(subscription["trial_start"]))


def announced(store: Store, subscription: Json) -> bool:
    """Return whether the event was sent for this end of the trial."""
    return store.recall("trial_announced", subscription["id"]) == {"trial_end": subscription["trial_end"]}


def announce(work: Work, subscription: Json) -> None:
    """Send ``customer.subscription.trial_will_end``."""
    work.note("trial_announced", subscription["id"], {"trial_end": subscription["trial_end"]})
    work.tell("customer.subscription.trial_will_end", subscription)


def finish(work: Work, subscription: Json) -> None:
    """End the trial. Start the first paid period, or do what ``missing_payment_method`` says."""
    if not _stopped_without_card(work, subscription, {}):
        next_period(work, subscription, {"status": "active"})


def finish_now(work: Work, subscription: Json, fields: Json) -> Json:
    """Apply ``trial_end=now`` and the other ``fields`` of the update.

    A new period begins, and its invoice is due immediately. ``trial_end`` becomes a second ago, as recorded from
    Stripe's API, 2026-08-26.dahlia.
    """
    over = fields | {"trial_end": work.now - 1}
    if not _stopped_without_card(work, subscription, over):
        shortened = cut_short(subscription | over, work.now)
        changes = over | shortened | {"billing_cycle_anchor": work.now, "status": "active"}
        invoice = next_period(work, subscription, changes, reason="subscription_update")
        if not sending.is_sent(invoice):
            collection.finalize(work, invoice)
    return work.get("subscription", subscription["id"])


def _stopped_without_card(work: Work, subscription: Json, fields: Json) -> bool:
    after = subscription | fields
    if sending.is_sent(after) or on_file.method(work, after, subscription["customer"]):
        return False
    how = after["trial_settings"]["end_behavior"]["missing_payment_method"]
    if how == "cancel":
        cancel.end(work, subscription, changes=fields)
    if how == "pause":
        pausing.pause(work, subscription, "trial_end_without_payment_method", fields)
    return bool(how != "create_invoice")
