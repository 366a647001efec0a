"""What an inference service is and which replicas it needs. Pure: no I/O, no framework."""
