"""The bank's and the invoice's pages, and the calls that a browser may make with a publishable key."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import stripe

from gateway.sandbox import Sandbox
from tests.support.stripe_account import StripeAccount, client, plain

ALWAYS = "pm_card_authenticationRequired"
BACK = "https://example.test/back?order=7"


def press(url: str, answer: str) -> requests.Response:
    return requests.post(url, data={"answer": answer}, allow_redirects=False, timeout=5)


def look(url: str) -> requests.Response:
    return requests.get(url, timeout=5)


def query(response: requests.Response) -> dict[str, str]:
    assert response.status_code == 303
    return {name: value for name, (value,) in parse_qs(urlsplit(response.headers["Location"]).query).items()}


@pytest.fixture
def invoice(account: StripeAccount) -> stripe.Invoice:
    """Return an open invoice of a customer whose card always needs approval, without any attempt to pay it."""
    price = account.price(2000, name="<b>Plus</b>")
    subscription = account.subscribe(account.customer(ALWAYS).id, price.id, payment_behavior="default_incomplete")
    return account.invoice(subscription)


@pytest.fixture
def intent(account: StripeAccount, invoice: stripe.Invoice) -> stripe.PaymentIntent:
    (found,) = account.v1.payment_intents.list({"customer": str(invoice.customer)}).data
    return found


class TestThreeDSecure:
    def question(self, account: StripeAccount, intent: stripe.PaymentIntent, **more: Any) -> str:
        params: Any = {"payment_method": ALWAYS, "return_url": BACK} | more
        waiting = plain(account.v1.payment_intents.confirm(intent.id, params))
        assert waiting["next_action"]["redirect_to_url"]["return_url"] == BACK
        return str(waiting["next_action"]["redirect_to_url"]["url"])

    def test_approval_pays_and_redirects_back(self, account: StripeAccount, intent: stripe.PaymentIntent) -> None:
        page = self.question(account, intent)
        assert "$20.00" in look(page).text
        answered = press(page, "complete")
        assert answered.headers["Location"].startswith("https://example.test/back?")
        assert query(answered) == {
            "order": "7",
            "payment_intent": intent.id,
            "payment_intent_client_secret": intent.client_secret,
            "redirect_status": "succeeded",
        }
        assert account.v1.payment_intents.retrieve(intent.id).status == "succeeded"
        assert account.v1.subscriptions.list().data[0].status == "active"

    def test_refusal_lets_another_card_pay(self, account: StripeAccount, intent: stripe.PaymentIntent) -> None:
        page = self.question(account, intent)
        assert query(press(page, "fail"))["redirect_status"] == "failed"
        found = account.v1.payment_intents.retrieve(intent.id)
        assert (found.status, found.payment_method, found.next_action) == ("requires_payment_method", None, None)
        error = plain(found)["last_payment_error"]
        assert error["code"] == "payment_intent_authentication_failure"
        assert error["payment_method"]["card"]["last4"] == "3184"
        (event,) = account.events(type="payment_intent.payment_failed")
        assert event.data.object.id == intent.id
        assert account.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"}).status == "succeeded"

    def test_decline_after_approval_redirects_back_as_failed(
        self, account: StripeAccount, intent: stripe.PaymentIntent
    ) -> None:
        page = self.question(account, intent, payment_method="pm_card_threeDSecureRequiredChargeDeclined")
        assert query(press(page, "complete"))["redirect_status"] == "failed"
        assert account.v1.charges.list().data[0].status == "failed"

    def test_question_can_be_answered_only_once(self, account: StripeAccount, intent: stripe.PaymentIntent) -> None:
        page = self.question(account, intent)
        press(page, "fail")
        again = press(page, "complete")
        assert (again.status_code, "failed authentication" in again.text) == (200, True)
        assert account.v1.payment_intents.retrieve(intent.id).status == "requires_payment_method"

    def test_page_shows_the_result_without_a_return_url(
        self, account: StripeAccount, intent: stripe.PaymentIntent
    ) -> None:
        waiting = plain(account.v1.payment_intents.confirm(intent.id, {"payment_method": ALWAYS}))
        answered = press(waiting["next_action"]["use_stripe_sdk"]["stripe_js"], "complete")
        assert (answered.status_code, "Authentication complete" in answered.text) == (200, True)

    @pytest.mark.parametrize(
        ("answer", "status", "redirect_status", "event"),
        [
            ("complete", "succeeded", "succeeded", "setup_intent.succeeded"),
            ("fail", "requires_payment_method", "failed", "setup_intent.setup_failed"),
        ],
    )
    def test_setup_intent_is_approved_on_the_same_page(
        self, account: StripeAccount, answer: str, status: str, redirect_status: str, event: str
    ) -> None:
        customer = account.customer(card=None).id
        created = account.v1.setup_intents.create({"customer": customer})
        waiting = account.v1.setup_intents.confirm(created.id, {"payment_method": ALWAYS, "return_url": BACK})
        assert query(press(plain(waiting)["next_action"]["redirect_to_url"]["url"], answer)) == {
            "order": "7",
            "setup_intent": created.id,
            "setup_intent_client_secret": created.client_secret,
            "redirect_status": redirect_status,
        }
        found = account.v1.setup_intents.retrieve(created.id)
        assert found.status == status
        if answer == "fail":
            assert plain(found)["last_setup_error"]["code"] == "setup_intent_authentication_failure"
        assert len(account.events(type=event)) == 1
        assert len(account.v1.customers.payment_methods.list(customer).data) == (answer == "complete")


class TestInvoice:
    def test_page_shows_the_amount_due_and_escapes_html(self, invoice: stripe.Invoice) -> None:
        page = look(str(invoice.hosted_invoice_url)).text
        for shown in (invoice.number, "open", "1 × &lt;b&gt;Plus&lt;/b&gt; (at $20.00 / month)", "owner@example.test"):  # noqa: RUF001 - Stripe's own sign
            assert str(shown) in page

    def test_payment_asks_the_holder_and_returns_to_the_page(
        self, account: StripeAccount, invoice: stripe.Invoice
    ) -> None:
        page = str(invoice.hosted_invoice_url)
        question = requests.post(f"{page}/pay", allow_redirects=False, timeout=5).headers["Location"]
        refused = press(question, "fail")
        assert refused.headers["Location"].startswith(page)
        assert "failed authentication" in look(refused.headers["Location"]).text
        question = requests.post(f"{page}/pay", allow_redirects=False, timeout=5).headers["Location"]
        press(question, "complete")
        after = look(page).text
        assert ("paid" in after, "Pay with" in after) == (True, False)
        assert account.v1.invoices.retrieve(invoice.id).status == "paid"

    def test_payment_without_approval_succeeds_immediately(
        self, account: StripeAccount, invoice: stripe.Invoice
    ) -> None:
        account.give_card(str(invoice.customer), "pm_card_visa")
        answered = requests.post(f"{invoice.hosted_invoice_url}/pay", timeout=5)
        assert answered.url == invoice.hosted_invoice_url
        assert account.v1.invoices.retrieve(invoice.id).status == "paid"
        requests.post(f"{invoice.hosted_invoice_url}/pay", timeout=5)
        assert len(account.v1.charges.list().data) == 1

    def test_page_shows_a_decline(self, account: StripeAccount, invoice: stripe.Invoice) -> None:
        account.give_card(str(invoice.customer), "pm_card_chargeCustomerFail")
        assert "Your card was declined." in requests.post(f"{invoice.hosted_invoice_url}/pay", timeout=5).text

    def test_page_has_no_button_without_a_card(self, account: StripeAccount) -> None:
        subscription = account.subscribe(
            account.customer(card=None).id, account.price(2000).id, payment_behavior="default_incomplete"
        )
        page = str(account.invoice(subscription).hosted_invoice_url)
        assert "There is no card to pay with" in look(page).text
        assert "There is no card to pay with" in requests.post(f"{page}/pay", timeout=5).text

    def test_invoice_can_be_downloaded(self, invoice: stripe.Invoice) -> None:
        document = look(str(invoice.invoice_pdf))
        assert document.headers["Content-Type"] == "application/pdf"
        body = document.content
        assert body.startswith(b"%PDF-1.4\n")
        assert body.endswith(b"%%EOF\n")
        assert rb"\(at $20.00 / month\)" in body
        table = int(body.split(b"startxref\n")[1].split(b"\n")[0])
        assert body[table : table + 4] == b"xref"
        rows = body[table:].split(b"\n")[3:8]
        assert [body[int(row[:10]) :].split(b" ")[0] for row in rows] == [b"1", b"2", b"3", b"4", b"5"]


@pytest.mark.parametrize("path", ["/i/in_none", "/i/in_none/pdf", "/3d_secure/pi_none"])
def test_unknown_page_is_not_found(sandbox: Sandbox, path: str) -> None:
    assert look(f"{sandbox.url}{path}").status_code == 404


class TestBrowserKeys:
    """A page of another origin may only take cards, and use the intents whose secret it has, as Stripe.js does."""

    def test_reading_and_confirming_require_the_secret(self, sandbox: Sandbox, intent: stripe.PaymentIntent) -> None:
        browser = client(sandbox, "pk_test_browser").v1.payment_intents
        params: Any = {"client_secret": intent.client_secret}
        assert browser.retrieve(intent.id, params).id == intent.id
        assert browser.confirm(intent.id, params | {"payment_method": "pm_card_visa"}).status == "succeeded"

    def test_setup_intent_requires_the_secret_too(self, sandbox: Sandbox, account: StripeAccount) -> None:
        browser = client(sandbox, "pk_test_browser").v1.setup_intents
        created = account.v1.setup_intents.create()
        params: Any = {"client_secret": created.client_secret}
        assert browser.confirm(created.id, params | {"payment_method": "pm_card_visa"}).status == "succeeded"
        assert browser.retrieve(created.id, params).status == "succeeded"

    def test_publishable_key_takes_a_card_and_reads_none(self, sandbox: Sandbox) -> None:
        browser = client(sandbox, "pk_test_browser").v1.payment_methods
        card: Any = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040, "cvc": "123"}
        taken = browser.create({"type": "card", "card": card})
        with pytest.raises(stripe.AuthenticationError):
            browser.retrieve(taken.id)

    def test_publishable_key_without_a_secret_is_refused(self, sandbox: Sandbox, intent: stripe.PaymentIntent) -> None:
        browser = client(sandbox, "pk_test_browser").v1
        for call in (lambda: browser.payment_intents.retrieve(intent.id), browser.customers.list):
            with pytest.raises(stripe.AuthenticationError) as refused:
                call()
            assert refused.value.error is not None
            assert refused.value.error.code == "secret_key_required"

    def test_secret_of_another_intent_is_refused(self, sandbox: Sandbox, intent: stripe.PaymentIntent) -> None:
        browser = client(sandbox, "pk_test_browser").v1.payment_intents
        with pytest.raises(stripe.InvalidRequestError) as refused:
            browser.retrieve(intent.id, {"client_secret": "pi_other_secret_x"})
        assert refused.value.param == "client_secret"

    def test_cors_headers_allow_a_browser(self, sandbox: Sandbox, intent: stripe.PaymentIntent) -> None:
        allowed = requests.options(f"{sandbox.url}/v1/payment_intents/{intent.id}/confirm", timeout=5)
        assert (allowed.status_code, allowed.headers["Access-Control-Allow-Origin"]) == (200, "*")
        assert "authorization" in allowed.headers["Access-Control-Allow-Headers"]
        assert "Access-Control-Allow-Origin" not in look(f"{sandbox.url}/v1/customers").headers
