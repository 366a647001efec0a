"""The commands of `python -m embedded`."""
