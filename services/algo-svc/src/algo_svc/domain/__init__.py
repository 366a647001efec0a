"""What an algorithm and an engine are, and what may be done with them. Pure: no I/O, no framework."""
