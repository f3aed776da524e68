"""flask-smorest's blueprint, changed to read JSON strictly and to document each view in full."""

from typing import Any

import orjson
from flask import Request, current_app, request
from flask_smorest import Blueprint as SmorestBlueprint
from marshmallow import Schema
from webargs import missing
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import UnsupportedMediaType

from gateway.endpoints.document import describe_operation
from schemas.fields import InputSchema


class StrictParser(FlaskParser):
    """Reads bodies with orjson, which refuses deep nesting, huge integers, NaN and lone surrogates without a crash.

    It refuses unknown fields in a query too.
    """

    DEFAULT_UNKNOWN_BY_LOCATION: dict[str, str | None] = {"query": None}  # noqa: RUF012 - webargs declares it so

    def _raw_load_json(self, req: Request) -> Any:
        body = req.get_data()
        if not body:
            return missing
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            # If the body is not UTF-8, orjson's error carries no text. webargs would then treat the body as empty.
            self._handle_invalid_json_error(error, req)


class Blueprint(SmorestBlueprint):  # type: ignore[misc]  # ships no types
    """A blueprint of the JSON interface."""

    ARGUMENTS_PARSER = StrictParser()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.before_request(refuse_other_media_types)
        self._prepare_doc_cbks.append(describe_operation)

    def arguments(self, schema: type[Schema], **options: Any) -> Any:
        """Read and document the arguments of a view. All requests share one instance of ``schema``.

        Making an instance takes longer than checking a request with it.
        """
        return super().arguments(schema(), **options)


def has_body() -> bool:
    """Return whether the request's headers announce a body. Without one, there is no need to look for it."""
    environ = request.environ
    return environ.get("CONTENT_LENGTH", "") not in ("", "0") or "HTTP_TRANSFER_ENCODING" in environ


def refuse_other_media_types() -> None:
    """Refuse a body that is not JSON with 415. flask-smorest would treat it as empty."""
    if has_body() and request.get_data() and not request.is_json:
        raise UnsupportedMediaType("Send application/json.")


def refuse_unread_body() -> None:
    """Abort with 422 if the body has fields and the view reads none. Abort with 400 if the body is not JSON."""
    if request.endpoint is None or not has_body() or not request.get_data():
        return
    documented: dict[str, Any] = getattr(current_app.view_functions[request.endpoint], "_apidoc", {})
    parameters = documented.get("arguments", {}).get("parameters", [])
    if not any(each["in"] == "json" for each in parameters):
        Blueprint.ARGUMENTS_PARSER.parse(InputSchema(), request, location="json")
