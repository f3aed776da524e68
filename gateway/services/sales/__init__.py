"""Inquiries to the sales team: storing them and delivering them to the configured address."""
