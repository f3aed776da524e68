"""A small local Stripe: the part of its HTTP interface that the gateway uses, in memory, on a loopback socket.

Drive it with any official Stripe SDK by pointing the SDK's base address at ``Sandbox.url``. It is a stand-in for a
test-mode account and knows nothing of the gateway.
"""

from gateway.sandbox.server import Sandbox, serve

__all__ = ["Sandbox", "serve"]
