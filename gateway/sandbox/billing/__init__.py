"""Stripe's billing rules, which deal with objects, amounts and times but not with HTTP."""
