"""An organization's customer at Stripe: who is billed, at which address, and with which payment method."""
