"""Complete the OpenAPI document that flask-smorest derives from the schemas and decorators.

A view's decorators state its scope, its errors and whether it takes an ``Idempotency-Key``. This module turns that into
responses, parameters and headers.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from http import HTTPStatus
from threading import Lock
from typing import Any

from apispec import APISpec, BasePlugin
from flask import Response, jsonify
from flask_smorest import Api as SmorestApi
from flask_smorest import Blueprint
from marshmallow import Schema, fields

from gateway import errors, problems
from gateway.endpoints import examples, links, problem_schemas
from gateway.endpoints.problem_schemas import component
from gateway.errors import GatewayError
from gateway.json_types import Json
from schemas.fields import PlanKey, UtcDateTime

DESCRIPTION = """\
Plans, changes of plan, billing details, cards and invoices of the organization that the bearer token names.
Services look up the plans and entitlements of any organization, with the scope `plans:read`.

Every error is a problem of RFC 9457, whose `code` is stable. Besides the answers that each operation lists:
- A path that does not exist is 404 `not_found`, and a method that a path does not have is 405 `method_not_allowed`.
- A request that is not valid HTTP, or is too long or too slow, may be 400, 408, 414, 417, 431 or 501 on any path.

Every answer has a header `X-Request-Id`, which names the request in our logs. So does a problem's `request_id`.
A request may bring its own, of up to 64 letters, digits, dots, dashes and underscores, or a `traceparent`.

Amounts are in minor units of their currency, such as cents. Times are in UTC.
Stripe's webhooks, the health checks and the metrics are not part of this document, because no client of this interface
calls them.
"""
ANY_VIEW = (
    GatewayError,
    errors.Unauthorized,
    errors.Forbidden,
    errors.RateLimited,
    errors.IdentityUnavailable,
    errors.DatabaseUnavailable,
)
ANY_REQUEST = (
    (400, "invalid_json"),
    (400, "malformed_request"),
    (413, "payload_too_large"),
    (415, "unsupported_media_type"),
)

REPLAYED = frozenset({200, 201, 202, 402, 404, 409, 412, 422})
"""The statuses of answers that are kept for a repeated request."""

STRING: Json = {"type": "string"}
HEADERS: dict[str, Json] = {
    "IdempotentReplayed": {
        "description": "Present if this is the answer of the first request with the same `Idempotency-Key`.",
        "schema": {"const": "true"},
    },
    "Location": {"description": "The change's address.", "required": True, "schema": STRING},
    "LocationOfFailed": {"description": "The change's address, if the problem has a `change_id`.", "schema": STRING},
    "RateLimit": {
        "description": "The remaining requests and the seconds to the reset.",
        "schema": STRING,
    },
    "RateLimitPolicy": {"description": "The limit and its window in seconds.", "schema": STRING},
    "RetryAfter": {"description": "Seconds to wait.", "required": True, "schema": {"type": "integer", "minimum": 0}},
    "RetryAfterIfKnown": {"description": "Seconds to wait, if known.", "schema": {"type": "integer", "minimum": 0}},
    "WWWAuthenticate": {"description": "See RFC 6750.", "required": True, "schema": STRING},
}
STATUS_HEADERS = {
    401: {"WWW-Authenticate": "WWWAuthenticate"},
    429: {"Retry-After": "RetryAfter", "RateLimit": "RateLimit", "RateLimit-Policy": "RateLimitPolicy"},
    503: {"Retry-After": "RetryAfterIfKnown"},
}
PARAMETERS: dict[str, Json] = {
    "Idempotency-Key": {
        "description": "A repeated request with the same key gets the first one's answer and changes nothing.",
        "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
        "example": "6f1c2c1e-5d0f-4a53-9f9b-3a8a3c5f0f0e",
    },
    "If-Match": {
        "description": "ETags of `GET /v1/subscription`. The change is made only if the plan still has such a version.",
        "schema": STRING,
        "example": '"4-5f0f0e"',
    },
}


class LeastProperties(BasePlugin):
    """Shows the least number of properties of a body."""

    def schema_helper(self, name: str, definition: Json, schema: Any = None, **_: Any) -> Json:  # noqa: ARG002 - as apispec calls it
        """Return what apispec adds to the schema."""
        kind = schema if isinstance(schema, type) else type(schema)
        least = getattr(kind.Meta, "min_properties", None) if issubclass(kind, Schema) else None
        return {"minProperties": least} if least is not None else {}


class Api(SmorestApi):  # type: ignore[misc]  # ships no types
    """The OpenAPI document of the JSON interface."""

    DEFAULT_ERROR_RESPONSE_NAME = None  # each view states its errors, so that a client knows them

    def __init__(self, *args: Any, plan_keys: Collection[str], **kwargs: Any) -> None:
        self.plan_keys = list(plan_keys)
        self._undescribed: list[Blueprint] = []
        self._describing = Lock()
        super().__init__(*args, spec_kwargs={"extra_plugins": [LeastProperties()]}, **kwargs)

    def register_blueprint(self, blueprint: Blueprint) -> None:
        """Register the views. They are described when a client asks for the document, which few processes see."""
        self._app.extensions["flask-smorest"]["blp_name_to_api"][blueprint.name] = self  # for its views' ETags
        self._app.register_blueprint(blueprint)
        self._undescribed.append(blueprint)

    def describe(self) -> Json:
        """Return the document."""
        with self._describing:  # two requests may ask for it first
            while self._undescribed:
                blueprint = self._undescribed.pop(0)
                blueprint.register_views_in_doc(self, self._app, self.spec, name=blueprint.name, parameters=None)
                self.spec.tag({"name": blueprint.name, "description": blueprint.description})
            document: Json = self.spec.to_dict()
            return document

    def _openapi_json(self) -> Response:
        return jsonify(self.describe())

    def _init_spec(self, **options: Any) -> None:
        super()._init_spec(**options)
        self.register_field(UtcDateTime, "string", "date-time")
        self.ma_plugin.converter.add_attribute_function(
            lambda _, field, ret: describe_field(field, ret, self.plan_keys)
        )
        components = self.spec.components
        components.schema("Problem", problem_schemas.any_problem())
        components.schema("FieldErrors", problem_schemas.FIELD_ERRORS)
        for name, header in HEADERS.items():
            components.header(name, header)
        for name, parameter in PARAMETERS.items():
            components.parameter(name, "header", {"name": name, **parameter})

    def _register_responses(self) -> None:
        """Register the only response that refers to none of our schemas."""
        not_modified = {
            "description": "The tag in `If-None-Match` is still the present one.",
            "headers": {"ETag": "ETAG"},
        }
        self.spec.components.response("NOT_MODIFIED", not_modified, lazy=True)

    def _register_etag_headers(self) -> None:
        """Register the headers of a conditional GET."""
        tag = {"description": "The tag of what is shown.", "required": True, "schema": STRING}
        self.spec.components.header("ETAG", tag, lazy=True)
        known = {"name": "If-None-Match", "description": "The tag of what the client has.", "schema": STRING}
        self.spec.components.parameter("IF_NONE_MATCH", "header", known, lazy=True)

    def _register_pagination_header(self) -> None:
        """Register none, because the pages are part of the bodies."""

    def _register_error_handlers(self) -> None:
        """Register none, because ``gateway.problems`` renders the errors."""


def describe_field(field: fields.Field[Any], ret: Json, plan_keys: list[str]) -> Json:
    """Return what apispec does not know of a field: the catalogue's plans, and patterns that JavaScript can read."""
    if isinstance(field, PlanKey):
        ret.pop("pattern", None)
        return {"enum": [*plan_keys, "unmapped"] if field.unmapped else plan_keys}
    if "pattern" in ret:
        return {"pattern": ret["pattern"].replace(r"\A", "^").replace(r"\Z", "$")}
    return {}


def describe_operation(doc: Json, facts: Json, *, spec: APISpec, **_: Any) -> Json:
    """Complete flask-smorest's description of an operation. ``facts`` is what the view's decorators stated."""
    responses = {int(status): response for status, response in doc.get("responses", {}).items()}
    takes_input = responses.pop(HTTPStatus.UNPROCESSABLE_ENTITY, None) is not None
    is_idempotent = facts.get("idempotent", False)
    raised = {*ANY_VIEW, *facts.get("errors", ())}
    if (takes_input and errors.EvaluationRefused not in raised) or is_idempotent:
        raised.add(errors.InvalidRequest)
    if is_idempotent:
        raised |= {errors.IdempotencyKeyReused, errors.RequestInProgress}
    changes_plan = errors.QuoteStale in raised
    for body in (doc.get("requestBody"), *responses.values()):
        add_example(body)
    add_links(responses, facts["manual_doc"]["operationId"])
    if changes_plan:
        add_header(responses.values(), "Location", "Location")
    for status, found in group(raised).items():
        responses[status] = problem_response(spec, status, found, change=changes_plan)
    if is_idempotent:
        replayed = [response for status, response in responses.items() if status in REPLAYED]
        add_header(replayed, "Idempotent-Replayed", "IdempotentReplayed")
        add_header([responses[errors.RequestInProgress.status]], "Retry-After", "RetryAfterIfKnown")
    doc.setdefault("parameters", []).extend(header_parameters(raised))
    doc["responses"] = dict(sorted(responses.items()))
    doc["security"] = [{"bearer": [facts["scope"]]}]
    return doc


def add_example(body: Json | str | None) -> None:
    """Add the example of its schema to the description of a body. A string names a component, which has no body."""
    for content in body.get("content", {}).values() if isinstance(body, dict) else ():
        schema = content["schema"]
        content.setdefault("example", examples.OF_SCHEMA[schema if isinstance(schema, type) else type(schema)])


def add_links(responses: Mapping[int, Json], operation_id: str) -> None:
    """Add the operation's links to its successful answers."""
    if operation_id in links.OF_OPERATION:
        for response in responses.values():
            response["links"] = links.OF_OPERATION[operation_id]


def add_header(responses: Iterable[Json], name: str, header: str) -> None:
    """Add a header, by the name of its component, to the responses."""
    for response in responses:
        response.setdefault("headers", {})[name] = header


def header_parameters(raised: Collection[type[GatewayError]]) -> Iterator[str]:
    """Yield the headers that a request may have. Each of them is known by the error that it can lead to."""
    if errors.IdempotencyKeyReused in raised:
        yield "Idempotency-Key"
    if errors.PreconditionFailed in raised:
        yield "If-Match"


def group(raised: Iterable[type[GatewayError]]) -> dict[int, dict[str, str]]:
    """Return the codes and titles of the problems by status."""
    found: dict[int, dict[str, str]] = {}
    for status, code in ANY_REQUEST:
        found.setdefault(status, {})[code] = problems.TITLES[code]
    for each in sorted(raised, key=lambda error: error.code):
        found.setdefault(each.status, {})[each.code] = each.title
    return found


def problem_response(spec: APISpec, status: int, found: dict[str, str], *, change: bool) -> Json | str:
    """Describe the response with one of the problems of a status, or name the component that describes it."""
    for code, title in found.items():
        if component(code) not in spec.components.schemas:
            spec.components.schema(component(code), problem_schemas.problem(status, code, title))
    schemas = [{"$ref": f"#/components/schemas/{component(code)}"} for code in found]
    response: Json = {
        "description": ", ".join(f"`{code}`" for code in found),
        "content": {problems.CONTENT_TYPE: {"schema": schemas[0] if len(schemas) == 1 else {"oneOf": schemas}}},
    }
    for name, header in STATUS_HEADERS.get(status, {}).items():
        add_header([response], name, header)
    if found == group(ANY_VIEW).get(status):
        name = f"Problem{status}"
        if name not in spec.components.responses:
            spec.components.response(name, response)
        return name
    # Any other operation names a change only if the change is in its way.
    names_change = found if change else found.keys() & {errors.ChangeInProgress.code}
    if any("change_id" in problem_schemas.members(code) for code in names_change):
        add_header([response], "Location", "LocationOfFailed")
    return response
