"""With a real Stripe account, the page uses Stripe.js and its Payment Element."""

from collections.abc import Callable

from tests.support.real_account import open_real_account
from tests.support.visitor import ASKING, DECLINED, GOOD, Visitor


def enter(visitor: Visitor, number: str, kind: str = "card") -> None:
    visitor.page.get_by_label("Kind in the Payment Element").select_option(kind)
    visitor.page.get_by_label("Number in the Payment Element").fill(number)
    visitor.press("Add and make default")


def answer_dialog(visitor: Visitor, act: Callable[[], None], *, approved: bool) -> None:
    visitor.page.once("dialog", lambda dialog: dialog.accept() if approved else dialog.dismiss())
    act()


def test_payment_element_adds_a_card_or_says_why_not(visitor: Visitor) -> None:
    person = open_real_account(visitor)
    person.open("/payment-methods/new")
    enter(person, "")
    person.see("Your card number is incomplete.")
    enter(person, DECLINED)
    person.see("Your card was declined.")
    enter(person, GOOD, "bank account")
    person.see("This payment method is not verified yet.")
    answer_dialog(person, lambda: enter(person, ASKING), approved=False)
    person.see("The approval was not completed.")
    enter(person, GOOD)
    person.see("The payment method is on file and is the default.")
    assert person.details()["payment_method"]["label"] == "Visa •••• 4242"


def test_holder_approves_in_a_dialog_or_on_the_banks_page(visitor: Visitor) -> None:
    person = open_real_account(visitor)
    person.open("/payment-methods/new")
    answer_dialog(person, lambda: enter(person, ASKING), approved=True)
    person.see("The payment method is on file and is the default.")
    person.follow("Add a payment method")
    enter(person, ASKING, "redirect")
    person.press("Complete authentication")
    person.see("The payment method is on file and is the default.")
    assert person.page.url.endswith("/billing#/payment-methods")


def test_stripe_js_asks_the_holder_to_approve_a_payment(visitor: Visitor) -> None:
    visitor.deployment.enrol(visitor.organization)
    visitor.use_card("pm_card_authenticationRequired")
    visitor.deployment.ok(visitor.organization, "PATCH", "/subscription", plan="plus", interval="year")
    person = open_real_account(visitor)
    person.open()
    answer_dialog(person, lambda: person.press("Approve the payment"), approved=False)
    person.see("The payment was not approved, and nothing was charged.")
    person.press("Cancel the change")
    person.see("The change was cancelled.")
    visitor.deployment.ok(visitor.organization, "PATCH", "/subscription", plan="plus", interval="year")
    person.open()
    answer_dialog(person, lambda: person.press("Approve the payment"), approved=True)
    person.see("Done. Your organization is on Plus now.")


def test_unreachable_stripe_js_is_said_and_overcome(visitor: Visitor) -> None:
    person = open_real_account(visitor)
    person.page.route("https://js.stripe.com/**", lambda route: route.abort(), times=1)
    person.open("/payment-methods/new")
    person.see("The payment service does not answer at the moment.")
    person.press("Try again")
    enter(person, GOOD)
    person.see("The payment method is on file and is the default.")
