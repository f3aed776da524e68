"""Stripe's side of the gateway: the client, its errors, the signature check and the snapshots of Stripe's objects."""
