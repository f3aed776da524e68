"""flask-smorest's blueprint, changed to read JSON strictly and to document each view in full."""

from http import HTTPStatus
from typing import Any

import orjson
from flask import Request, Response, abort, request
from flask_smorest import Blueprint as SmorestBlueprint
from flask_smorest.exceptions import NotModified
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import UnsupportedMediaType

from gateway.endpoints.document import describe_operation
from schemas.fields import InputSchema


class StrictParser(FlaskParser):
    """Reads bodies with orjson, so that deep nesting, huge integers, NaN and lone surrogates are invalid, not a crash.

    It refuses unknown fields in a query too.
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
        self._prepare_doc_cbks.append(describe_operation)

    @staticmethod
    def _generate_etag(etag_data: Any, extra_data: Any = None) -> str:
        """Begin the tag with the version, because ``conditional`` compares only that."""
        digest: str = SmorestBlueprint._generate_etag(etag_data, extra_data)  # noqa: SLF001 - a method of the base class
        return f"{etag_data['version']}-{digest}"

    def _check_not_modified(self, etag: str) -> None:
        """Answer 304 with the tag, as RFC 9110 (15.4.5) demands. flask-smorest would leave the tag out."""
        try:
            super()._check_not_modified(etag)
        except NotModified:
            response = Response(status=HTTPStatus.NOT_MODIFIED)
            response.set_etag(etag)
            abort(response)


def refuse_other_media_types() -> None:
    """Refuse a body that is not JSON with 415. flask-smorest would treat it as empty."""
    has_body = request.content_length or "chunked" in request.headers.get("Transfer-Encoding", "").lower()
    if has_body and not request.is_json:
        raise UnsupportedMediaType("Send application/json.")


def refuse_body() -> None:
    """Abort with 422 if the body has fields, which this request would ignore."""
    Blueprint.ARGUMENTS_PARSER.parse(InputSchema(), request, location="json")
