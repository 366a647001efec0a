"""Who runs next, and where: pure functions over values, with no clock, no database and no chance in them.

`planner.plan` decides over the values of `values`; `explaining` says why somebody waits.
"""
