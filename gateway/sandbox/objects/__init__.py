"""One builder for each kind of object, listing every field that Stripe answers for it (API 2026-10-28.endive)."""
