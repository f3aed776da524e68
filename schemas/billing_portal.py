"""The schemas of Stripe's billing portal."""

from marshmallow import fields, validate

from schemas.fields import InputSchema, OutputSchema


class OpenPortalSchema(InputSchema):
    """Open the portal."""

    return_url = fields.Url(
        schemes={"http", "https"},
        require_tld=False,
        validate=validate.Length(max=2048),
        load_default=None,
        metadata={"description": "where the portal's link back leads", "example": "https://konnect.example/billing"},
    )


class PortalSchema(OutputSchema):
    """The portal of the caller's customer."""

    url = fields.String(metadata={"description": "a page at Stripe, valid for a few minutes. Treat it as a secret"})
