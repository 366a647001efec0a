"""The one loop through which jobs, notebooks and replicas live.

allocate → hold → stage → launch → observe → collect → release. Every step is idempotent and guarded, so the loop may
be killed at any line; what happens when is one state table (`workload.TRANSITIONS`).
"""
