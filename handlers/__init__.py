"""Stripe events to snapshots: one pure function an event type."""
