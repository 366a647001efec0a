"""What a base environment is. Pure: no I/O, no framework."""
