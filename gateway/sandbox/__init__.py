"""A small local Stripe: the part of its HTTP interface that the gateway uses, in memory, on a loopback socket.

Drive it with any official Stripe SDK by pointing the SDK's base address at ``Sandbox.url``. It is a stand-in for a
test-mode account and knows nothing of the gateway.
"""

from gateway.sandbox.command import serve
from gateway.sandbox.seed import StartError
from gateway.sandbox.server import Sandbox

__all__ = ["Sandbox", "StartError", "serve"]
