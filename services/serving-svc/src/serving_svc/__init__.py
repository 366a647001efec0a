"""Inference services: replicas of published models behind addresses that never change.

Promise: as many replicas run as are wanted, only those that answer are routed to, one that dies or falls ill is
replaced (at growing pauses where that doesn't help, and said so), and no request is sent to a replica that is about
to be stopped. Restarting this service disturbs no replica.
"""
