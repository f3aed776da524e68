"""Invoices, and pages of them."""

from marshmallow import Schema, fields, validate

from schemas.fields import STRIPE_ID, InputSchema, utc


class InvoiceQuerySchema(InputSchema):
    """Which page."""

    limit = fields.Integer(load_default=10, validate=validate.Range(min=1, max=100))
    starting_after = fields.String(
        validate=STRIPE_ID, metadata={"description": "id of the last invoice of the page before"}
    )


class InvoiceSchema(Schema):
    """An invoice. Amounts in minor units."""

    id = fields.String()
    number = fields.String(allow_none=True)
    status = fields.String(validate=validate.OneOf(["open", "paid", "uncollectible", "void"]))
    billing_reason = fields.String(allow_none=True)
    currency = fields.String()
    total = fields.Integer()
    amount_due = fields.Integer()
    amount_paid = fields.Integer()
    amount_remaining = fields.Integer()
    created = utc("when it was drafted")
    next_payment_attempt = utc("when it is charged again by itself; null: it is not")
    hosted_invoice_url = fields.String(allow_none=True, metadata={"description": "a page of Stripe's"})
    invoice_pdf = fields.String(allow_none=True)


class InvoiceListSchema(Schema):
    """Invoices, newest first."""

    data = fields.List(fields.Nested(InvoiceSchema))
    has_more = fields.Boolean()
