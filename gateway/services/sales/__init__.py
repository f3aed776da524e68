"""Inquiries to the sales team: ``inquiries`` stores, lists and sends them.

One module is enough, because ``notifications`` signs and delivers them.
"""
