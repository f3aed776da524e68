"""Tools for operators: status figures, the doctor's checks, retention, and the sync of the catalogue to Stripe."""
