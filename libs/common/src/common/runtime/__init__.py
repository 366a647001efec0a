"""Runtimes: the adapters of `common.ports.runtime`, which start, watch and end workloads."""
