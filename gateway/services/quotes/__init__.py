"""A quote tells what a change will cost before the organization confirms it.

Stripe calculates the preview. A signed token binds the quote to the subscription and the prices that it was made for.
"""
