"""The schemas of plans and entitlements for other services."""

from marshmallow import fields, validate

from schemas.fields import ORGANIZATION_ID, InputSchema, OutputSchema, PlanKey, one_of, utc
from schemas.subscription import STANDINGS, STATUSES
from schemas.terms import OverLimitSchema

MOST_ORGANIZATIONS = 500


class CurrentPlanSchema(OutputSchema):
    """The plan that an organization may use now."""

    organization_id = fields.String()
    plan = PlanKey(unmapped=True)
    plan_name = fields.String()
    status = one_of(*STATUSES, metadata={"description": "Stripe's status, or none"})
    standing = one_of(*STANDINGS)
    quantity = fields.Integer(metadata={"description": "of the subscription"})
    granted_until = utc("when a complimentary plan ends, or null", allow_none=True)
    version = fields.Integer()


class EntitlementsSchema(CurrentPlanSchema):
    """What an organization may use."""

    limits = fields.Dict(
        keys=fields.String(), values=fields.Integer(allow_none=True), metadata={"description": "null is unlimited"}
    )
    features = fields.Dict(keys=fields.String(), values=fields.Boolean())
    levels = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        metadata={"description": "how many the organization has of a limited thing, as far as the gateway knows"},
    )
    over_limits = fields.List(
        fields.Nested(OverLimitSchema), metadata={"description": "the limits whose level is known and exceeded"}
    )
    over_spend_limit = fields.Boolean(
        metadata={"description": "whether the spend of the period has reached the organization's own limit"}
    )


class PlansQuerySchema(InputSchema):
    """The organizations to look up."""

    organization_ids = fields.List(
        fields.String(validate=ORGANIZATION_ID),
        required=True,
        validate=validate.Length(min=1, max=MOST_ORGANIZATIONS),
    )


class CurrentPlanListSchema(OutputSchema):
    """The plans, in the order of the request's ids."""

    data = fields.List(fields.Nested(CurrentPlanSchema))
