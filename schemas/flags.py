"""The schemas of the OpenFeature Remote Evaluation Protocol (OFREP). https://github.com/open-feature/protocol."""

from typing import Any

from marshmallow import INCLUDE, Schema, fields

from schemas.fields import ORGANIZATION_ID, OutputSchema


class ContextSchema(Schema):
    """The context of an evaluation. An SDK may send further attributes, which do not matter here."""

    class Meta:
        """Options for marshmallow."""

        unknown = INCLUDE

    targeting_key = fields.String(
        required=True,
        data_key="targetingKey",
        validate=ORGANIZATION_ID,
        metadata={"description": "the id of the organization"},
    )


class EvaluationRequestSchema(Schema):
    """A request to evaluate flags. The protocol may get further members, so unknown ones are ignored."""

    class Meta:
        """Options for marshmallow."""

        unknown = INCLUDE

    context = fields.Nested(ContextSchema, required=True)


class FlagValue(fields.Field[Any]):
    """The value of a flag: a boolean for a feature, an integer for a limit."""


class EvaluationSchema(OutputSchema):
    """The evaluation of one flag."""

    key = fields.String()
    value = FlagValue(metadata={"type": ["boolean", "integer"]})
    reason = fields.String()
    variant = fields.String(metadata={"description": "the plan"})
    metadata = fields.Dict(metadata={"description": "`standing`, and for a limit whether it is `unlimited`"})


class BulkEvaluationSchema(OutputSchema):
    """The evaluations of all flags."""

    flags = fields.List(fields.Nested(EvaluationSchema))
