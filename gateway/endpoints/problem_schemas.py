"""The JSON Schema of each problem. Every code has its own, because some codes carry further members."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from gateway.error_codes import list_error_classes
from gateway.json_types import Json
from gateway.problems import TITLES
from schemas.subscription import CHANGE_ERRORS

FIELD_ERRORS: Json = {
    "type": "object",
    "description": "Messages by field. A nested object or list has an object of its own, a list's by index.",
    "additionalProperties": {
        "anyOf": [
            {"type": "array", "items": {"type": "string"}},
            {"$ref": "#/components/schemas/FieldErrors"},
        ]
    },
}
CHANGE_ID_MEMBER: Json = {"type": "string", "description": "the change that failed or is in progress, see `Location`"}
QUOTE: Json = {"$ref": "#/components/schemas/Quote"}
ERRORS: Json = {"$ref": "#/components/schemas/FieldErrors"}

REQUIRED_MEMBERS: Mapping[str, Mapping[str, Json]] = MappingProxyType(
    {
        "billing_details_refused": {
            "errors": ERRORS,
            "stripe_code": {"type": ["string", "null"], "description": "Stripe's own code of the refusal"},
        },
        "evaluation_refused": {
            "errorCode": {"type": "string", "enum": ["PARSE_ERROR", "TARGETING_KEY_MISSING", "INVALID_CONTEXT"]},
            "errorDetails": {"type": "string"},
        },
        "flag_not_found": {
            "key": {"type": "string"},
            "errorCode": {"const": "FLAG_NOT_FOUND"},
            "errorDetails": {"type": "string"},
        },
        "exposure_limit": {"max_quantity": {"type": "integer", "description": "units that are possible now"}},
        "payment_action_required": {
            "hosted_invoice_url": {"type": ["string", "null"], "description": "where the cardholder approves it"}
        },
        "precondition_failed": {"version": {"type": "integer", "description": "the plan's present version"}},
    }
)
OPTIONAL_MEMBERS: Mapping[str, Mapping[str, Json]] = MappingProxyType(
    {
        # The request may have begun a change that ended with the code.
        **{code: {"change_id": CHANGE_ID_MEMBER} for code in CHANGE_ERRORS},
        # Without a change, another operation on cards or invoices is in progress.
        "change_in_progress": {"change_id": CHANGE_ID_MEMBER},
        "database_unavailable": {"change_id": CHANGE_ID_MEMBER},
        "evaluation_refused": {"key": {"type": "string"}},
        "invalid_request": {"errors": ERRORS, "change_id": CHANGE_ID_MEMBER},
        "payment_method_in_use": {
            "amount": {"type": "integer", "description": "what is still to be charged, in minor units"},
            "currency": {"type": "string"},
            "invoice": {"type": "string", "description": "the unpaid invoice"},
            "billing_date": {"type": "string", "format": "date-time", "description": "of the invoice to come"},
        },
        "quote_expired": {"quote": QUOTE},
        "quote_stale": {"quote": QUOTE, "change_id": CHANGE_ID_MEMBER},
    }
)


def codes() -> Iterator[str]:
    """Yield the code of every problem."""
    yield from TITLES
    for each in list_error_classes():
        yield each.code


def any_problem() -> Json:
    """Return the schema of the members that every problem has."""
    return schema({"type": "integer"}, {"type": "string", "enum": sorted(set(codes()))}, {}, {})


def problem(status: int, code: str, title: str) -> Json:
    """Return the schema of the problem with this code."""
    required, optional = REQUIRED_MEMBERS.get(code, {}), OPTIONAL_MEMBERS.get(code, {})
    return schema({"const": status}, {"const": code}, required, optional) | {"description": f"{title}."}


def members(code: str) -> set[str]:
    """Return the names of the further members of a code's problem."""
    return {*REQUIRED_MEMBERS.get(code, {}), *OPTIONAL_MEMBERS.get(code, {})}


def schema(status: Json, code: Json, required: Mapping[str, Json], optional: Mapping[str, Json]) -> Json:
    """Return a schema with the members of RFC 9457, ``code``, and further members."""
    always = {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": status,
        "code": code,
        "detail": {"type": ["string", "null"], "description": "for people"},
        "request_id": {"type": "string", "description": "names the request in the logs"},
        **required,
    }
    return {"type": "object", "required": list(always), "properties": {**always, **optional}}


def component(code: str) -> str:
    """Return the name of a code's schema."""
    return "".join(word.capitalize() for word in code.split("_")) + "Problem"
