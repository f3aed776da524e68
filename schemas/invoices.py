"""The schemas of invoices and of their pages."""

from marshmallow import fields, validate

from schemas.fields import STRIPE_ID, Currency, InputSchema, OutputSchema, one_of, utc


class InvoiceQuerySchema(InputSchema):
    """The query for a page of invoices."""

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
        allow_none=True, metadata={"description": "taxes that the total contains, or null if unknown"}
    )
    amount_due = fields.Integer()
    amount_paid = fields.Integer()
    amount_remaining = fields.Integer()
    amount_refunded = fields.Integer(metadata={"description": "what was paid back"})
    created = utc("when Stripe drafted the invoice")
    next_payment_attempt = utc("when Stripe will try to charge it again, or null if it will not", allow_none=True)
    payment_under_way = fields.Boolean(
        allow_none=True,
        metadata={"description": "whether a payment such as a bank debit is in progress, or null if that is unknown"},
    )
    hosted_invoice_url = fields.String(allow_none=True, metadata={"description": "a page at Stripe"})
    invoice_pdf = fields.String(allow_none=True)


class LinePeriodSchema(OutputSchema):
    """The period that a line bills, as the mirror stores it. Its end belongs to the next period."""

    start = fields.String(metadata={"format": "date-time"})
    end = fields.String(metadata={"format": "date-time"})


class InvoiceLineSchema(OutputSchema):
    """A line of an invoice. `amount`, `discount` and `tax` add up to its part of the total."""

    kind = one_of(
        "plan",
        "usage",
        "proration",
        "item",
        metadata={
            "description": "a price in advance, usage of a past period, a change within a period, or another item"
        },
    )
    description = fields.String(allow_none=True)
    quantity = fields.Integer(allow_none=True)
    amount = fields.Integer(metadata={"description": "minor units, negative for a credit"})
    discount = fields.Integer(metadata={"description": "minor units that discounts take off, as a negative amount"})
    tax = fields.Integer(metadata={"description": "minor units of taxes that come on top"})
    period = fields.Nested(LinePeriodSchema)


class DifferenceSchema(OutputSchema):
    """A reason why the invoice differs from the charges calculated before the billing date."""

    cause = one_of("usage", "change", "balance", "unexplained")
    amount = fields.Integer(metadata={"description": "minor units that it adds to the amount due"})


class DetailedInvoiceSchema(InvoiceSchema):
    """An invoice with its lines."""

    lines = fields.List(
        fields.Nested(InvoiceLineSchema), allow_none=True, metadata={"description": "null until all lines are known"}
    )
    calculated_due = fields.Integer(
        allow_none=True,
        metadata={"description": "the amount due that was calculated before the billing date, or null if none was"},
    )
    differences = fields.List(
        fields.Nested(DifferenceSchema),
        metadata={"description": "causes that add up to the difference from `calculated_due`"},
    )


class ReceiptSchema(OutputSchema):
    """The receipt of an invoice."""

    receipt_url = fields.String(
        allow_none=True, metadata={"description": "a page at Stripe, or null if nothing was charged"}
    )


class InvoiceListSchema(OutputSchema):
    """Invoices, newest first."""

    data = fields.List(fields.Nested(InvoiceSchema))
    has_more = fields.Boolean()
