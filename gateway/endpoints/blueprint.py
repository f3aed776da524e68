"""flask-smorest's blueprint, made to read JSON strictly and to describe errors as they are."""

from typing import Any

import orjson
from flask import Request, request
from flask_smorest import Api as SmorestApi
from flask_smorest import Blueprint as SmorestBlueprint
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import UnsupportedMediaType

from schemas.fields import InputSchema
from schemas.problems import ProblemSchema


class StrictParser(FlaskParser):
    """Reads bodies with orjson: deep nesting, huge integers, NaN and lone surrogates are invalid JSON, not a crash.

    What a schema does not know is refused in a query as well.
    """

    DEFAULT_UNKNOWN_BY_LOCATION: dict[str, str | None] = {"query": None}  # noqa: RUF012 - webargs declares it so

    def _raw_load_json(self, req: Request) -> Any:
        return orjson.loads(req.get_data())


class Blueprint(SmorestBlueprint):  # type: ignore[misc]  # ships no types
    """A blueprint of the JSON interface."""

    ARGUMENTS_PARSER = StrictParser()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.before_request(refuse_other_media_types)

    @staticmethod
    def _generate_etag(etag_data: Any, extra_data: Any = None) -> str:
        """Begin with the version: a change can be held to that alone (``conditional``)."""
        digest: str = SmorestBlueprint._generate_etag(etag_data, extra_data)  # noqa: SLF001 - of the class it extends
        return f"{etag_data['version']}-{digest}"


def refuse_other_media_types() -> None:
    """A JSON interface reads JSON: flask-smorest would take a body of another type for an empty one."""
    has_body = request.content_length or "chunked" in request.headers.get("Transfer-Encoding", "").lower()
    if has_body and not request.is_json:
        raise UnsupportedMediaType("Send application/json.")


def refuse_body() -> None:
    """Aborts with 422 if a request whose body says nothing brings one that does: it would be ignored."""
    Blueprint.ARGUMENTS_PARSER.parse(InputSchema(), request, location="json")


class Api(SmorestApi):  # type: ignore[misc]  # ships no types
    """The document: errors are problems."""

    ERROR_SCHEMA = ProblemSchema

    def _register_error_handlers(self) -> None:
        """Errors are rendered by ``gateway.problems``."""

    def _register_responses(self) -> None:
        """Say of the responses that are registered here, the errors, that they are problem+json."""
        self.DEFAULT_RESPONSE_CONTENT_TYPE = "application/problem+json"
        super()._register_responses()
        del self.DEFAULT_RESPONSE_CONTENT_TYPE  # the class's own again
