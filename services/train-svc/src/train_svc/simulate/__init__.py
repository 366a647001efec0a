"""The planner under a simulated clock: how a cluster would do with certain queues, rules and work."""
