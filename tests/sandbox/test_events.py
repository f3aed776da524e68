"""Every change creates an event with the full object and its previous attributes."""

from tests.support.stripe_account import StripeAccount, plain


def types(account: StripeAccount, after: int = 0) -> list[str]:
    return [str(event.type) for event in account.events()][after:]


def test_paid_subscription_creates_all_its_events_in_order(account: StripeAccount) -> None:
    customer = account.customer()
    price = account.price(2000)
    earlier = len(account.events())
    account.subscribe(customer.id, price.id)
    assert types(account, earlier) == [
        "customer.subscription.created",
        "invoice.created",
        "customer.updated",
        "payment_intent.created",
        "invoice.updated",
        "invoice.finalized",
        "payment_intent.succeeded",
        "charge.succeeded",
        "invoice_payment.paid",
        "invoice.updated",
        "invoice.paid",
        "invoice.payment_succeeded",
        "customer.subscription.updated",
    ]


def test_each_event_contains_the_object_as_it_was_then(account: StripeAccount) -> None:
    account.subscribe(account.customer().id, account.price(2000).id)
    created, updated = account.events(type="customer.subscription.*")
    assert (created.data.object.status, updated.data.object.status) == ("incomplete", "active")
    assert plain(updated)["data"]["previous_attributes"] == {"status": "incomplete"}
    assert "previous_attributes" not in plain(created)["data"]
    statuses = {event.type: event.data.object.status for event in account.events(type="invoice.*")}
    assert statuses["invoice.created"] == "draft"
    assert statuses["invoice.finalized"] == "open"
    assert statuses["invoice.paid"] == "paid"


def test_previous_attributes_contain_only_the_changes(account: StripeAccount) -> None:
    customer = account.v1.customers.create({"name": "Before", "metadata": {"kept": "1", "changed": "a"}})
    account.v1.customers.update(customer.id, {"name": "After", "metadata": {"changed": "b", "added": "c"}})
    (event,) = account.events(type="customer.updated")
    data = plain(event)["data"]
    assert data["previous_attributes"] == {"name": "Before", "metadata": {"added": None, "changed": "a"}}
    assert data["object"]["metadata"] == {"kept": "1", "changed": "b", "added": "c"}


def test_plan_change_event_contains_the_old_items(account: StripeAccount) -> None:
    subscription = account.subscribe(account.customer().id, account.price(0).id)
    account.swap(subscription, account.price(2000).id, proration_behavior="none")
    (event,) = account.events(type="customer.subscription.updated")
    before = plain(event)["data"]["previous_attributes"]
    assert before["items"]["data"] == plain(subscription)["items"]["data"]
    assert before["plan"]["amount"] == 0


def test_update_without_a_difference_creates_no_event(account: StripeAccount) -> None:
    customer = account.v1.customers.create({"name": "Same"})
    account.v1.customers.update(customer.id, {"name": "Same"})
    assert types(account) == ["customer.created"]


def test_deletion_event_contains_the_last_full_object(account: StripeAccount) -> None:
    customer = account.v1.customers.create({"name": "Gone"})
    account.v1.customers.delete(customer.id)
    (event,) = account.events(type="customer.deleted")
    assert event.data.object.name == "Gone"
    assert account.v1.customers.retrieve(customer.id).deleted is True


def test_deleting_a_customer_cancels_its_subscriptions(account: StripeAccount) -> None:
    customer = account.customer()
    subscription = account.subscribe(customer.id, account.price(2000).id)
    account.v1.customers.delete(customer.id)
    assert account.v1.subscriptions.retrieve(subscription.id).status == "canceled"


def test_event_names_the_request_and_its_idempotency_key(account: StripeAccount) -> None:
    customer = account.v1.customers.create({"name": "A"}, {"idempotency_key": "once"})
    account.v1.customers.delete(customer.id)
    created, deleted = account.events()
    assert created.request is not None
    assert deleted.request is not None
    assert created.request.idempotency_key == "once"
    assert created.request.id == customer.last_response.request_id  # type: ignore[union-attr]  # the customer came in a response
    assert deleted.request.idempotency_key is None
    assert (created.api_version, created.pending_webhooks) == ("2026-10-28.endive", 0)


def test_lookup_key_transfer_creates_events_of_both_prices(account: StripeAccount) -> None:
    first = account.price(1000, lookup_key="plus")
    second = account.price(2000, lookup_key="plus", transfer_lookup_key=True)
    assert account.v1.prices.retrieve(first.id).lookup_key is None
    assert [price.id for price in account.v1.prices.list({"lookup_keys": ["plus"]}).data] == [second.id]
    (event,) = account.events(type="price.updated")
    assert plain(event)["data"]["previous_attributes"] == {"lookup_key": "plus"}


def test_events_can_be_listed_from_a_given_one(account: StripeAccount) -> None:
    for name in "abcd":
        account.v1.customers.create({"name": name})
    first = account.events()[0]
    page = account.v1.events.list({"ending_before": first.id, "types": ["customer.created"]})
    assert [event.data.object.name for event in page.auto_paging_iter()] == ["b", "c", "d"]


def test_finalizing_reports_the_draft_before_it_opened(account: StripeAccount) -> None:
    account.subscribe(account.customer().id, account.price(2000).id)
    events = [plain(event) for event in account.events()]
    kinds = [event["type"] for event in events]
    place = kinds.index("payment_intent.created")
    assert kinds[place : place + 3] == ["payment_intent.created", "invoice.updated", "invoice.finalized"]
    data = events[place + 1]["data"]
    former = data["previous_attributes"]
    assert (former["status"], data["object"]["status"]) == ("draft", "open")
    changed = {"number", "hosted_invoice_url", "invoice_pdf", "effective_at"}
    assert {name: former[name] for name in changed} == dict.fromkeys(changed)
