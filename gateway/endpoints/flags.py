"""``/ofrep/v1/evaluate/flags`` serves entitlements to any OpenFeature SDK. https://github.com/open-feature/protocol."""

from typing import Any, NoReturn

from flask import Response, request

from gateway.endpoints.apidoc import operation, path_id
from gateway.endpoints.blueprint import Blueprint, StrictParser
from gateway.endpoints.limits import limited
from gateway.endpoints.request_context import gateway, requires_service
from gateway.endpoints.tagged import Tagged, tagged, write_json
from gateway.errors import EvaluationRefused, FlagNotFound
from gateway.services.entitlements.flags import evaluate_flag, evaluate_flags
from gateway.services.entitlements.lookup import find_current_plan
from gateway.services.rate_limits.table import RouteClass
from schemas.flags import BulkEvaluationSchema, EvaluationRequestSchema, EvaluationSchema


class EvaluationParser(StrictParser):
    """Refuses a body as the protocol says, with 400 and an ``errorCode``."""

    def handle_error(self, *_: Any, **__: Any) -> NoReturn:
        """Raise EvaluationRefused for a wrong or missing context."""
        body = request.get_json(silent=True)
        context = body.get("context") if isinstance(body, dict) else None
        if isinstance(context, dict) and "targetingKey" in context:
            refuse("INVALID_CONTEXT", "The targetingKey must be the id of an organization.")
        refuse("TARGETING_KEY_MISSING", "The context needs a targetingKey, the id of an organization.")

    def _handle_invalid_json_error(self, *_: Any, **__: Any) -> NoReturn:
        refuse("PARSE_ERROR", "The body is not valid JSON.")


class EvaluationBlueprint(Blueprint):
    """A blueprint of the protocol, whose POST may answer 304."""

    ARGUMENTS_PARSER = EvaluationParser()
    METHODS_CHECKING_NOT_MODIFIED = ("POST",)


def refuse(code: str, details: str) -> NoReturn:
    """Raise EvaluationRefused with the members of the protocol."""
    key = (request.view_args or {}).get("key")
    raise EvaluationRefused(details, errorCode=code, errorDetails=details, **({"key": key} if key is not None else {}))


blueprint = EvaluationBlueprint(
    "flags", __name__, url_prefix="/ofrep/v1/evaluate/flags", description="Entitlements for OpenFeature SDKs"
)


@blueprint.post("")
@requires_service("plans:read")
@operation("evaluateFlags", EvaluationRefused)
@limited(RouteClass.READ)
@blueprint.arguments(EvaluationRequestSchema)
@blueprint.response(200, BulkEvaluationSchema)
@tagged
def evaluate_all(query: dict[str, Any]) -> Tagged:
    """Evaluate all features and limits for the organization that the context's `targetingKey` names."""
    current = find_current_plan(gateway(), query["context"]["targeting_key"])
    return Tagged({"flags": evaluate_flags(gateway().catalog, current)})


@blueprint.post("/<key>", parameters=path_id("key", "email_support"))
@requires_service("plans:read")
@operation("evaluateFlag", EvaluationRefused, FlagNotFound)
@limited(RouteClass.READ)
@blueprint.arguments(EvaluationRequestSchema)
@blueprint.response(200, EvaluationSchema)
def evaluate(query: dict[str, Any], key: str) -> Response:
    """Evaluate one feature or limit for the organization that the context's `targetingKey` names."""
    current = find_current_plan(gateway(), query["context"]["targeting_key"])
    return write_json(evaluate_flag(gateway().catalog, current, key))
