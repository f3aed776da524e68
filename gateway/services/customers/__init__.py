"""Manage an organization's customer at Stripe, with its billing details and its cards.

``customer`` creates it, ``deletion`` notices that it is gone, and the other modules read and change its details.
"""
