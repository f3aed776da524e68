"""Reconciliation finds and repairs what no webhook reported.

The gap walk fetches events that the inbox never received. The drift walk compares the mirror with Stripe's state.
"""
