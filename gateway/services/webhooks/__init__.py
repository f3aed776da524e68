"""A webhook's way from Stripe's POST to the merge.

Ingress stores the event in the inbox and wakes the drain. The drain claims events in batches and merges them.
"""
