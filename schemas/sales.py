"""The schemas of the contact form."""

from marshmallow import fields

from schemas.fields import EmailAddress, InputSchema, OutputSchema, Text, utc


class SalesInquirySchema(InputSchema):
    """A person's inquiry to sales."""

    name = Text(longest=200, required=True)
    email = EmailAddress(required=True)
    company = Text(longest=200, required=True)
    message = Text(longest=5000, lines=True, required=True)


class StoredInquirySchema(OutputSchema):
    """The confirmation that an inquiry is stored."""

    id = fields.String()
    created_at = utc("when the inquiry was stored")
