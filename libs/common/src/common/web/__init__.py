"""HTTP in and out: problems, identity, permissions, paging, idempotency, calls to other services."""
