"""Jobs, models and the scheduler: what the platform's work is and who may use which devices when.

Promises: a job that was accepted runs or says why it can't; it is never run twice at once; its log, metrics and
results outlive it; no device is ever promised to two workloads, whatever asks: job, notebook or replica.
"""
