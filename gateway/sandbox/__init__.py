"""A small local Stripe that serves the part of Stripe's HTTP API that the gateway uses.

It keeps its state in memory and listens on a loopback socket. Any official Stripe SDK can use it with ``Sandbox.url``
as its base address. It stands in for a test-mode account and knows nothing of the gateway.
"""

from gateway.sandbox.command import serve
from gateway.sandbox.seed import StartError
from gateway.sandbox.server import Sandbox

__all__ = ["Sandbox", "StartError", "serve"]
