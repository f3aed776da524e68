"""The module that ``gunicorn wsgi:app`` loads."""

import atexit

from gateway.app import create_app
from gateway.endpoints.request_context import EXTENSION

app = create_app()
atexit.register(app.extensions[EXTENSION].close)
