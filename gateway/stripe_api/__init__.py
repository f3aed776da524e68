"""Stripe as this gateway sees it: the client, its errors, the signature check, objects read into snapshots."""
