"""The plan table says which plan each organization is on, and the plan history says who changed it and why.

This package derives the plan from the mirror's rows, writes both tables, and rebuilds the plan table from its history.
"""
