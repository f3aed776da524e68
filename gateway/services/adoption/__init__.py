"""Adopting an account links customers that other programs created to our organizations.

1. ``survey`` reads Stripe's lists and decides which customers can be linked.
2. ``walk`` links them page by page, and copies their subscriptions and invoices into the mirror.
3. ``completion`` names the organizations in the customers' metadata at Stripe, and copies their other payment
   methods, in the background.
4. ``migration`` moves subscriptions out of classic billing mode.
"""
