"""The schema of RFC 9457 problems, which report every error."""

from marshmallow import Schema, fields


class ProblemSchema(Schema):
    """An error. ``code`` is stable, and ``detail`` is for people."""

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    code = fields.String(required=True, metadata={"example": "payment_method_required"})
    detail = fields.String(required=True, allow_none=True)
    errors = fields.Dict(
        metadata={"description": "which fields are wrong, for `invalid_request` and `billing_details_refused`"}
    )
