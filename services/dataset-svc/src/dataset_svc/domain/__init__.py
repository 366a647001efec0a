"""The rules of datasets, versions, imports and uploads: pure, readable aloud, no I/O."""
