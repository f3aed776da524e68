"""The plan table says which plan each organization is on, and why.

This package derives the plan from the mirror's rows, writes the plan table and its history, and rebuilds both.
"""
