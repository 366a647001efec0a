"""Real servers for the tests: each started privately on free loopback ports, once a run, only when a test asks.

Nothing of them touches what the machine runs itself, and nothing of them outlives the run, even when it is killed.
"""
