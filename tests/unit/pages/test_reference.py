"""``GET /docs`` without a browser."""

import re

from flask import Flask

from gateway.pages.reference import build_blueprint


def test_page_loads_only_files_that_the_gateway_serves() -> None:
    app = Flask("gateway", static_folder=None)
    app.register_blueprint(build_blueprint())
    browser = app.test_client()
    answer = browser.get("/docs")
    files = re.findall(r"(?:href|src)=\"([^\"]+)\"", answer.text)
    assert len(files) == 4
    assert {browser.get(each).status_code for each in files} == {200}
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'; ")
    assert browser.get("/docs/reference.py").status_code == 404
