"""Structured logs and traces."""
