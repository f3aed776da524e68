"""The quantity of a subscription follows a level that a service reports, such as the number of services.

``report`` stores the level. ``follow`` changes the quantity by the same plan change as a user's, at most every few
hours, so that a burst of levels is one change.
"""
