"""Alembic's home: `env.py` serves every service; `versions/` is the branch of common's own tables."""
