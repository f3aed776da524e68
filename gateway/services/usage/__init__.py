"""Usage that is billed by Stripe's meters.

``record`` stores usage events and adds them up in reports. ``report_to_stripe`` sends the reports to Stripe. The events
are never changed, so a report can always be compared with what it adds up.
"""
