"""Benchmarks: one file each, every figure against a named limit or peer measured in the same run."""
