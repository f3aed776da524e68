"""A plan change, from the request to the state in which it ends.

The gateway commits the intent first, calls Stripe with no transaction open, and closes the change afterwards.
If a process dies in between, the change's completion job or a webhook closes it.
"""
