"""The rule that an organization has one billing operation in flight.

``reservation`` commits an operation as a billing intent, together with its checks, before Stripe is called.
``completion`` makes the call, merges the answer and deletes the intent. It does the same in a job if the process died.
"""
