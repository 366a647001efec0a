"""The platform's collections as groups of methods: `client.datasets`, `client.jobs` … Nothing here does I/O of its own
but through `yard.http`."""
