"""flask-smorest's blueprint, made to read JSON strictly and to describe errors as they are."""

from typing import Any

import orjson
from flask import Request
from flask_smorest import Api as SmorestApi
from flask_smorest import Blueprint as SmorestBlueprint
from marshmallow import RAISE
from webargs.flaskparser import FlaskParser

from schemas.problems import ProblemSchema


class StrictJsonParser(FlaskParser):
    """Reads bodies with orjson: deep nesting, huge integers, NaN and lone surrogates are invalid JSON, not a crash.

    A parameter of a query that nobody knows is refused like a field of a body, instead of being passed over.
    """

    DEFAULT_UNKNOWN_BY_LOCATION = FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION | {"query": RAISE}

    def _raw_load_json(self, req: Request) -> Any:
        return orjson.loads(req.get_data())


class Blueprint(SmorestBlueprint):  # type: ignore[misc]  # ships no types
    """A blueprint of the JSON interface."""

    ARGUMENTS_PARSER = StrictJsonParser()


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
