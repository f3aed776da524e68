"""An organization's customer at Stripe: who is billed, at which address, and with which card.

``customer`` creates it, ``deletion`` notices that it is gone, and the other modules read and change its details.
"""
