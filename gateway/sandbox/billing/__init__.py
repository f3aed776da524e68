"""How Stripe bills: no HTTP here, only objects, amounts and times."""
