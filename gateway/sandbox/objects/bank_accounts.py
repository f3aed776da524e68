"""Stripe's documented test bank accounts (https://docs.stripe.com/testing#non-card-payments).

That page documents each account's number, token and failure. The messages are inferred. Tokens such as
``pm_usBankAccount`` without a scenario are the sandbox's short names for the account that succeeds.
"""

from dataclasses import dataclass

from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.special_cards import Decline

ROUTING_NUMBER = "110000000"
CURRENCY = {"sepa_debit": "eur", "us_bank_account": "usd"}
"""The only currency in which each kind of account can be debited."""


@dataclass(frozen=True)
class TestAccount:
    """A test account with its number or IBAN, the suffixes of its tokens and its behaviour."""

    kind: str
    number: str
    tokens: str
    decline: Decline | None = None
    settles: bool = True
    """Whether a debit leaves the status ``processing`` by itself."""

    @property
    def last4(self) -> str:
        """Return the last four characters of the number, the part that Stripe shows."""
        return self.number[-4:]


_CLOSED = Decline("account_closed", "The bank account has been closed.")
_NO_ACCOUNT = Decline("no_account", "The bank account could not be located.")
_FUNDS = Decline("insufficient_funds", "The bank account has insufficient funds to complete the payment.")
_UNAUTHORIZED = Decline("debit_not_authorized", "The customer's bank account cannot be debited.")
_CURRENCY = Decline("payment_method_currency_mismatch", "The bank account's currency does not match the payment.")
_LIMIT = Decline("charge_exceeds_source_limit", "The payment exceeds the account's weekly limit.")
_REFUSED = Decline("payment_method_provider_decline", "The bank refused the debit.", "generic_decline")
_US, _SEPA = "us_bank_account", "sepa_debit"

ACCOUNTS = (
    TestAccount(_US, "000123456789", "pm_usBankAccount pm_usBankAccount_success"),
    TestAccount(_US, "000111111113", "pm_usBankAccount_accountClosed", _CLOSED),
    TestAccount(_US, "000111111116", "pm_usBankAccount_noAccount", _NO_ACCOUNT),
    TestAccount(_US, "000222222227", "pm_usBankAccount_insufficientFunds", _FUNDS),
    TestAccount(_US, "000333333335", "pm_usBankAccount_debitNotAuthorized", _UNAUTHORIZED),
    TestAccount(_US, "000444444440", "pm_usBankAccount_invalidCurrency", _CURRENCY),
    TestAccount(_US, "000777777771", "pm_usBankAccount_weeklyLimitExceeded", _LIMIT),
    TestAccount(_US, "000000000009", "pm_usBankAccount_processing", settles=False),
    TestAccount(_SEPA, "DE89370400440532013000", "pm_sepaDebit pm_sepaDebit_success_de"),
    TestAccount(_SEPA, "DE62370400440532013001", "pm_sepaDebit_failed_de", _REFUSED),
    TestAccount(_SEPA, "DE65370400440000343434", "pm_sepaDebit_exceedsWeeklyVolumeLimit_de", _LIMIT),
    TestAccount(_SEPA, "DE27370400440000121212", "pm_sepaDebit_exceedsWeeklyTransactionLimit_de", _LIMIT),
    TestAccount(_SEPA, "DE65370400440002222227", "pm_sepaDebit_insufficientFunds_de", _FUNDS),
)
BY_NUMBER = {(account.kind, account.number): account for account in ACCOUNTS}
BY_PAYMENT_METHOD = {token: account for account in ACCOUNTS for token in account.tokens.split()}
_BY_FACE = {(account.kind, account.last4): account for account in ACCOUNTS}
"""A payment method shows only the last four characters, and they identify the account among those of its kind."""


def account_of(payment_method: Json) -> TestAccount | None:
    """Return the test account that a bank debit draws on. Return None for a payment method of another type."""
    kind = payment_method["type"]
    return _BY_FACE[kind, payment_method[kind]["last4"]] if kind in CURRENCY else None


def details(account: TestAccount, given: Json) -> Json:
    """Return the fields of the account that a payment method shows. ``given`` may name its holder's type."""
    fingerprint = f"sandbox{account.kind.replace('_', '')}{account.last4}"
    if account.kind == _SEPA:
        return {
            "bank_code": account.number[4:12],
            "branch_code": "",
            "country": account.number[:2],
            "fingerprint": fingerprint,
            "generated_from": {"charge": None, "setup_attempt": None},
            "last4": account.last4,
        }
    return {
        "account_holder_type": given.get("account_holder_type", "individual"),
        "account_type": given.get("account_type", "checking"),
        "bank_name": "STRIPE TEST BANK",
        "financial_connections_account": None,
        "fingerprint": fingerprint,
        "last4": account.last4,
        "networks": {"preferred": "ach", "supported": ["ach"]},
        "routing_number": ROUTING_NUMBER,
        "status_details": {},
    }


def charged_details(payment_method: Json) -> Json:
    """Return the fields of the account that a charge shows."""
    kind = payment_method["type"]
    hidden = {"financial_connections_account", "generated_from", "networks", "status_details"}
    shown = {name: value for name, value in payment_method[kind].items() if name not in hidden}
    more: Json = {"expected_debit_date": None, "mandate": None}
    return shown | more | ({"payment_reference": None} if kind == _US else {})
