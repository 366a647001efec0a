"""The gateway's branch of the database's history."""
