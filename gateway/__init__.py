"""The gateway between Konnect and Stripe."""
