"""Payment methods and billing details are kept on the page."""

from tests.support.screenshots import photograph
from tests.support.visitor import Visitor


def test_methods_are_added_made_default_and_deleted(visitor: Visitor) -> None:
    visitor.subscribe()
    visitor.open("/payment-methods")
    visitor.press("Delete Visa •••• 4242")
    visitor.see("This payment method pays for your plan. Make another one the default first.")
    photograph(visitor, "method-refused")
    visitor.follow("Add a payment method")
    visitor.heading("Add a payment method").wait_for()
    visitor.fill_card("5555 5555 5555 4444")
    visitor.press("Add and make default")
    visitor.see("The payment method is on file and is the default.")
    visitor.press("Make Visa •••• 4242 the default")
    visitor.see("Visa •••• 4242 is the default now")
    visitor.press("Delete Mastercard •••• 4444")
    visitor.see("Mastercard •••• 4444 was deleted.")
    methods = visitor.deployment.ok(visitor.organization, "GET", "/payment-methods")["data"]
    assert [(each["label"], each["is_default"]) for each in methods] == [("Visa •••• 4242", True)]


def test_details_and_tax_id_are_saved(visitor: Visitor) -> None:
    visitor.deployment.enrol(visitor.organization)
    visitor.open("/details")
    visitor.fill(name="Example GmbH", email="billing@example.com", line1="Hauptstr. 1", city="Berlin", country="DE")
    visitor.page.locator("[name=type]").select_option("eu_vat")
    visitor.fill(value="DE12")
    visitor.press("Save")
    visitor.page.locator(".fault, .notice.bad").wait_for()
    visitor.fill(value="DE123456789")
    visitor.press("Save")
    visitor.see("The billing details are saved.")
    details = visitor.deployment.ok(visitor.organization, "GET", "/billing-details")
    assert (details["address"]["country"], details["tax_ids"][0]["value"]) == ("DE", "DE123456789")
