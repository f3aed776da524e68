"""Builders of Stripe's objects. Each lists every field that Stripe returns for its object (API 2026-10-28.endive)."""
