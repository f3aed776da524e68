"""What an organization may use: its plan, and the plan's limits and features.

The plan table says which plan, and the catalogue says what the plan contains. So a change of the catalogue reaches all
organizations when the processes start with it.
"""
