"""The schemas of Stripe's billing portal."""

from marshmallow import fields, validate

from schemas.fields import InputSchema, OutputSchema

WEB_ADDRESS = validate.Regexp(
    r"\Ahttps?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:[/?#][!-~]*)?\Z", error="Must be an http or https address."
)


class OpenPortalSchema(InputSchema):
    """The body of a request for the portal."""

    return_url = fields.String(
        required=True,
        validate=[validate.Length(max=2048), WEB_ADDRESS],
        metadata={"description": "where the portal's link back leads", "example": "https://konnect.example/billing"},
    )


class PortalSchema(OutputSchema):
    """The portal of the caller's customer."""

    url = fields.String(metadata={"description": "a page at Stripe, valid for a few minutes. Treat it as a secret"})
