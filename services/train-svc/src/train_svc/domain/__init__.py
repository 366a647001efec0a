"""What a job, a model and the ledger are, with nothing of databases, networks or files in it."""
