"""What operators need: status figures, the doctor's checks, retention, and the catalogue's sync to Stripe."""
