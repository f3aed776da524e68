"""What an organization has subscribed to, and what it may do next.

The policy decides which change of plan is allowed. Plan Details and the offers present that decision to the UI.
"""
