"""The mirror holds Stripe's objects as the gateway last saw them.

The merge in this package is the only code that writes the mirror. Refresh jobs retrieve what an event left uncertain.
"""
