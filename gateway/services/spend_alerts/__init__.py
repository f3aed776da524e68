"""Alerts at the amounts that an organization chooses.

``settings`` keeps the amounts. ``spend`` calculates the spend of a period from our own records. In the worker,
``check`` compares the two, and asks Stripe only near an amount.
"""
