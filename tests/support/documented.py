"""Compares every answer of an application with its OpenAPI document."""

import re
from functools import cache
from typing import Any

from flask import Flask, Response, request
from jsonschema import Draft202012Validator

from tests.support.json_types import Json

HEADERS = ("ETag", "Idempotent-Replayed", "Location", "RateLimit", "Retry-After", "WWW-Authenticate")
"""The headers of an answer that mean something to a client of the interface."""


DOCUMENTS: dict[tuple[str, ...], "Document"] = {}
"""The documents that this process has read, by their plans."""


class Document:
    """An OpenAPI document that finds answers it does not describe."""

    def __init__(self, document: Json) -> None:
        self.components = close(document["components"])
        self.paths = document["paths"]
        self.validator = cache(self._validator)

    def problem(self, method: str, path: str, response: Response) -> str | None:
        """Say what the document does not describe. Ignore a path or method that is not in the document."""
        operation = self.paths.get(path, {}).get(method.lower())
        if operation is None:
            return None
        described = self.resolve(operation["responses"].get(str(response.status_code)))
        if described is None:
            return "its status is not documented"
        return self.problem_of_headers(described, response) or self.problem_of_body(described, path, method, response)

    def problem_of_headers(self, described: Json, response: Response) -> str | None:
        """Say which header is missing or not documented."""
        headers = {name: self.resolve(each) or {} for name, each in described.get("headers", {}).items()}
        missing = [name for name, each in headers.items() if each.get("required") and name not in response.headers]
        unknown = [name for name in HEADERS if name in response.headers and name not in headers]
        return f"headers: {missing} missing, {unknown} not documented" if missing or unknown else None

    def problem_of_body(self, described: Json, path: str, method: str, response: Response) -> str | None:
        """Say how the body differs from its schema."""
        if "content" not in described:
            return None  # 204 and 304, with which Werkzeug sends no body
        if response.mimetype not in described["content"]:
            return f"its type {response.mimetype} is not documented"
        found = self.validator(path, method.lower(), response.status_code, response.mimetype)
        return next((error.message for error in found.iter_errors(response.get_json())), None)

    def _validator(self, path: str, method: str, status: int, content_type: str) -> Draft202012Validator:
        described = self.resolve(self.paths[path][method]["responses"][str(status)]) or {}
        schema = described["content"][content_type]["schema"]
        return Draft202012Validator({"components": self.components, **schema})

    def resolve(self, described: Json | None) -> Json | None:
        """Return a component instead of the reference to it."""
        if described is None or "$ref" not in described:
            return described
        *_, kind, name = described["$ref"].split("/")
        found: Json = self.components[kind][name]
        return found


def close(schema: Any) -> Any:
    """Forbid members that the document does not name."""
    if isinstance(schema, list):
        return [close(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: close(each) for name, each in schema.items()}
    if closed.get("type") == "object" and "properties" in closed:
        closed.setdefault("additionalProperties", False)
    return closed


def watch(app: Flask) -> list[str]:
    """Return a list to which each answer is added that the application's document does not describe."""
    api = app.extensions["flask-smorest"]["apis"][""]["ext_obj"]
    plans = tuple(api.plan_keys)
    # Applications differ only by their plans. Describing one takes longer than an ordinary request.
    document = DOCUMENTS.get(plans) or DOCUMENTS.setdefault(plans, Document(api.describe()))
    undocumented: list[str] = []

    @app.after_request
    def compare(response: Response) -> Response:
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", request.url_rule.rule) if request.url_rule is not None else ""
        if (problem := document.problem(request.method, path, response)) is not None:
            undocumented.append(f"{request.method} {path} {response.status_code}: {problem}")
        return response

    return undocumented
