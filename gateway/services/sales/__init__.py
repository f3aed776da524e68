"""Inquiries to the sales team.

``inquiries.store_inquiry`` stores an inquiry together with a job. In that job, ``delivery.deliver_inquiry`` sends it to
the sales team's own system.
"""
