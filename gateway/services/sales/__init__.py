"""Inquiries to the sales team: ``inquiries`` stores, lists and sends them."""
