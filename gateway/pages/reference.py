"""``GET /docs`` shows the OpenAPI document with Swagger UI, whose files come from the package flask-swagger-ui."""

from pathlib import Path

import flask_swagger_ui
from flask import Blueprint, Response, render_template
from werkzeug.exceptions import NotFound

from gateway.pages.files import load_file

ASSETS = Path(flask_swagger_ui.__file__).parent / "dist"
STARTER = Path(__file__).with_name("swagger.js")
SCRIPT, STYLE, ICON = "swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def build_blueprint() -> Blueprint:
    """Return the routes. The document is public, but the requests that the page makes need a token."""
    blueprint = Blueprint("reference", __name__, template_folder="templates")
    paths = {path.name: path for path in (ASSETS / SCRIPT, ASSETS / STYLE, ASSETS / ICON, STARTER)}

    @blueprint.get("/docs")
    def show() -> Response:
        page = render_template("docs.html", script=SCRIPT, style=STYLE, icon=ICON, starter=STARTER.name)
        return Response(page, headers={"Content-Security-Policy": POLICY})

    @blueprint.get("/docs/<name>")
    def show_file(name: str) -> Response:
        if name not in paths:
            raise NotFound
        return load_file(paths[name]).answer()

    return blueprint
