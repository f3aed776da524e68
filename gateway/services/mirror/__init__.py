"""The mirror holds Stripe's objects as Stripe last showed them.

The merge in this package is the only code that writes Stripe's states to the mirror. An erasure blanks names in it, and
the withdrawal of credits marks its invoices. Refresh jobs retrieve the states that events alone do not settle.
"""
