"""Limits on rates. ``stripe_budget`` bounds our calls to Stripe, and the other modules bound what callers may do.

``table`` holds the numbers. ``postgres_storage`` counts for all machines. ``card_testing`` bounds declined payments.
"""
