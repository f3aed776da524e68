"""People change their plan, click by click."""

from tests.support.visitor import ASKING, DECLINED, Visitor


def money(amount: int) -> str:
    return f"{'-' if amount < 0 else ''}${abs(amount) / 100:,.2f}"


def shown_amounts(quote: dict[str, object]) -> set[str]:
    """Return the amounts that a page may show of a quote."""
    lines = quote["lines"]
    assert isinstance(lines, list)
    names = ("subtotal", "discounts", "taxes", "balance", "amount_due_now", "amount_due_on_billing_date", "credit")
    return {money(line["amount"]) for line in lines} | {money(int(str(quote[name]))) for name in names}


def choose_plus(visitor: Visitor) -> None:
    visitor.open()
    visitor.follow("Change Plan")
    visitor.follow("Upgrade to Plus")


def test_new_organization_tries_plus_without_a_card(visitor: Visitor) -> None:
    visitor.open()
    visitor.press("Try Plus for free")
    visitor.see("Your trial of Plus ends in 30 days")
    assert visitor.details()["plan"] == "plus"


def test_card_buys_plus_at_the_quoted_amounts(visitor: Visitor) -> None:
    choose_plus(visitor)
    visitor.enter_details()
    visitor.see("Card number")
    with visitor.page.expect_response("**/subscription/preview") as answered:
        visitor.enter_card()
    quote = answered.value.json()
    visitor.see("You pay $0.00 today.")
    assert set(visitor.amounts()) <= shown_amounts(quote)
    visitor.press("Subscribe")
    visitor.see("Done. Your organization is on Plus now.")
    assert visitor.details()["plan"] == "plus"
    visitor.follow("Cancel Plan")
    with visitor.page.expect_response("**/subscription?quote=*"):
        visitor.press("Confirm Downgrade")
    visitor.see("Done. Your organization is on Free now.")
    assert visitor.details()["plan"] == "free"


def test_declined_card_shows_the_banks_reason(visitor: Visitor) -> None:
    choose_plus(visitor)
    visitor.enter_details()
    visitor.enter_card(DECLINED)
    visitor.see("Your card was declined.")
    assert visitor.details()["payment_method"] is None


def test_card_with_3d_secure_is_approved_or_refused(visitor: Visitor) -> None:
    choose_plus(visitor)
    visitor.enter_details()
    visitor.enter_card(ASKING)
    visitor.press("Fail authentication")
    visitor.see("The approval was not completed.")
    visitor.enter_card(ASKING)
    visitor.press("Complete authentication")
    visitor.see("The payment method is on file and is the default.")
    visitor.press("Subscribe")
    visitor.see("Done. Your organization is on Plus now.")


def test_switch_to_the_year_is_charged_as_quoted(visitor: Visitor) -> None:
    visitor.subscribe()
    visitor.open("/plans")
    visitor.press("Yearly")
    visitor.see("$2,500.00")
    with visitor.page.expect_response("**/subscription/preview") as answered:
        visitor.follow("Switch to yearly billing")
    due = money(answered.value.json()["amount_due_now"])
    visitor.see(f"We charge {due} to Visa")
    visitor.press("Confirm change")
    visitor.see("1 service at $2,500.00 per year")
    [invoice, *_] = visitor.deployment.ok(visitor.organization, "GET", "/invoices")["data"]
    assert (money(invoice["amount_paid"]), invoice["status"]) == (due, "paid")
    visitor.follow("Billing history")
    visitor.press("Receipt")
    visitor.page.wait_for_url("**/receipts/*")


def test_usage_and_estimate_are_those_of_the_interface(visitor: Visitor) -> None:
    visitor.subscribe()
    visitor.use("api_calls", 1_200_000)
    estimate = visitor.deployment.ok(visitor.organization, "GET", "/usage/estimate")["estimate"]
    visitor.open()
    visitor.see("1,200,000 this month")
    visitor.see(money(estimate["due"]))
    visitor.follow("Usage")
    visitor.heading("Usage").wait_for()
    visitor.see("$20.00 per million")
    assert "1,200,000" in visitor.page.locator("main").inner_text()


def test_other_tab_makes_the_quote_stale(visitor: Visitor) -> None:
    visitor.subscribe()
    visitor.open("/plans/plus")
    visitor.page.get_by_label("Services").fill("3")
    visitor.page.get_by_label("Services").press("Tab")
    visitor.see("You pay $0.00 today.")
    visitor.deployment.ok(visitor.organization, "PATCH", "/subscription", quantity=2)
    visitor.press("Confirm change")
    visitor.see("Your plan or a price has changed in the meantime.")
    visitor.press("Confirm change")
    visitor.see("3 services at $250.00 per month")


def test_lost_connection_leaves_a_truthful_page(visitor: Visitor) -> None:
    visitor.subscribe()
    visitor.open("/cancel")
    visitor.see("Confirm Downgrade")
    visitor.context.set_offline(True)
    visitor.press("Confirm Downgrade")
    visitor.see("The connection was lost before the answer came.")
    assert visitor.details()["plan"] == "plus"
    visitor.context.set_offline(False)
    visitor.see("Done. Your organization is on Free now.")
    assert visitor.details()["plan"] == "free"
