"""The mirror holds Stripe's objects as Stripe last showed them.

The merge in this package is the only code that writes the mirror. Refresh jobs retrieve the states that events alone
do not settle.
"""
