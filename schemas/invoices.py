"""The schemas of invoices and of their pages."""

from marshmallow import fields, validate

from schemas.fields import STRIPE_ID, Currency, InputSchema, OutputSchema, one_of, utc


class InvoiceQuerySchema(InputSchema):
    """Select a page."""

    limit = fields.Integer(load_default=10, validate=validate.Range(min=1, max=100))
    starting_after = fields.String(
        validate=STRIPE_ID, metadata={"description": "id of the last invoice on the previous page"}
    )


class InvoiceSchema(OutputSchema):
    """An invoice, with amounts in minor units."""

    id = fields.String()
    number = fields.String(allow_none=True)
    status = one_of("draft", "open", "paid", "uncollectible", "void")
    billing_reason = fields.String(allow_none=True)
    currency = Currency()
    total = fields.Integer()
    taxes = fields.Integer(
        allow_none=True, metadata={"description": "taxes that the total contains, or null for an old invoice"}
    )
    amount_due = fields.Integer()
    amount_paid = fields.Integer()
    amount_remaining = fields.Integer()
    created = utc("when Stripe drafted the invoice")
    next_payment_attempt = utc("when Stripe will try to charge it again, or null if it will not", allow_none=True)
    hosted_invoice_url = fields.String(allow_none=True, metadata={"description": "a page at Stripe"})
    invoice_pdf = fields.String(allow_none=True)


class InvoiceListSchema(OutputSchema):
    """Invoices, newest first."""

    data = fields.List(fields.Nested(InvoiceSchema))
    has_more = fields.Boolean()
