"""All services in one process: the default way to run Modelyard, for one person or team on one machine.

Promises: the same behaviour as separate services, state under one folder that survives restarts and kill -9, and
nothing listening anywhere but on the address that is said (loopback unless told otherwise).
"""
