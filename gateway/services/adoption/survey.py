"""The survey reads Stripe's lists and decides which customers can be linked. It writes nothing."""

from collections import defaultdict
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from types import MappingProxyType

from sqlalchemy import or_, select

from gateway.db.models import Organization, Subscription
from gateway.db.queries import among
from gateway.services.adoption.claims import Claims, Decision, Stored, decide_links
from gateway.services.adoption.lists import list_customers, list_unpaid_invoices
from gateway.services.mirror.tables import KINDS
from gateway.services.plan_table.derive import PlanState, derive_plan_state
from gateway.services.plan_table.rows import load_plans
from gateway.services.plan_table.selection import UNMAPPED
from gateway.services.rate_limits.stripe_budget import Priority, calling_as
from gateway.services.runtime import Gateway
from gateway.stripe_api.snapshots import ORGANIZATION_ID_KEY, InvoiceSnapshot, SubscriptionSnapshot


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the claims come from, besides the metadata that the gateway itself writes."""

    metadata_key: str = ORGANIZATION_ID_KEY
    rows: Claims = field(default_factory=lambda: MappingProxyType({}))

    @property
    def digest(self) -> str:
        """Return a digest of the source. A run that was killed resumes only with the same source."""
        rows = sorted((customer, sorted(organizations)) for customer, organizations in self.rows.items())
        return blake2b(repr((self.metadata_key, rows)).encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Account:
    """What the survey remembers of a customer that an organization claims."""

    is_readable: bool
    subscriptions: list[SubscriptionSnapshot]


class Survey:
    """The claims in an account, and the decision about each. Iterate ``read`` to its end first."""

    def __init__(self, gateway: Gateway, source: Source) -> None:
        self._gateway = gateway
        self.source = source
        self.listed = 0
        """How many customers Stripe lists."""
        self.subscriptions = 0
        """How many live subscriptions they have."""
        self.decision = Decision()
        self.plans: dict[str, PlanState] = {}
        """Customer -> the plan that its subscriptions stand for. Only of customers that can be or are linked."""
        self.classic: dict[str, str] = {}
        """Organization -> the subscription of its plan, if that is in classic billing mode."""
        self.unpaid_invoices: defaultdict[str, list[InvoiceSnapshot]] = defaultdict(list)
        """The owed invoices of each customer that an organization claims."""

    @property
    def targets(self) -> Mapping[str, str]:
        """Return the customers that can be linked or are linked already, with their organizations."""
        return self.decision.links | self.decision.linked

    def read(self) -> Generator[int]:
        """Read Stripe's lists and decide. Yield the number of customers listed so far. Raise StripeUnavailable."""
        claims = {customer: set(organizations) for customer, organizations in self.source.rows.items()}
        accounts: dict[str, Account] = {}
        cursor, is_last = None, False
        while not is_last:
            with calling_as(Priority.RECONCILIATION):
                page = list_customers(self._gateway, cursor)
            for each in page.customers:
                named = {each.metadata.get(key) for key in (ORGANIZATION_ID_KEY, self.source.metadata_key)} - {None, ""}
                if named or each.id in claims:
                    claims.setdefault(each.id, set()).update(str(name) for name in named)
                    subscriptions = [found.subscription for found in each.subscriptions]
                    accounts[each.id] = Account(is_readable=each.customer is not None, subscriptions=subscriptions)
            self.listed += len(page.customers)
            self.subscriptions += sum(len(each.subscriptions) for each in page.customers)
            cursor, is_last = page.cursor, page.cursor is None
            yield self.listed
        with calling_as(Priority.RECONCILIATION):
            for invoice in list_unpaid_invoices(self._gateway):
                if invoice.customer_id in accounts:
                    self.unpaid_invoices[invoice.customer_id].append(invoice)
        readable = {customer: account.is_readable for customer, account in accounts.items()}
        self.decision = decide_links(claims, readable, load_stored(self._gateway, claims))
        self._derive_plans(accounts)

    def _derive_plans(self, accounts: Mapping[str, Account]) -> None:
        """Derive each target's plan with the rules of the plan table, from rows that are never stored."""
        with self._gateway.database.reading() as session:
            plans = load_plans(session)
        for customer, organization in self.targets.items():
            rows = {each.id: to_row(each, organization) for each in accounts[customer].subscriptions}
            state = derive_plan_state(list(rows.values()), plans)
            self.plans[customer] = state
            current = rows.get(state.subscription_id or "")
            if has_plan(state) and current is not None and current.billing_mode == "classic":
                self.classic[organization] = current.id


def has_plan(state: PlanState) -> bool:
    """Return whether a subscription stands for the plan."""
    return state.subscription_id is not None and state.requested_plan != UNMAPPED


def to_row(snapshot: SubscriptionSnapshot, organization_id: str) -> Subscription:
    """Return the row that the mirror would hold."""
    values = KINDS[SubscriptionSnapshot.kind].column_values(snapshot)
    return Subscription(id=snapshot.id, organization_id=organization_id, **values)


def load_stored(gateway: Gateway, claims: Claims) -> Stored:
    """Load the links that concern the claims."""
    organizations = {organization for named in claims.values() for organization in named}
    query = select(Organization.id, Organization.stripe_customer_id, Organization.deleted).where(
        Organization.stripe_customer_id.is_not(None),
        or_(among(Organization.id, organizations), among(Organization.stripe_customer_id, claims)),
    )
    with gateway.database.reading() as session:
        rows = session.execute(query).all()
    return Stored(
        customers={each.id: each.stripe_customer_id for each in rows},
        deleted={each.id for each in rows if each.deleted},
    )
