"""dataset-svc: what people train on.

It promises that a dataset only ever changes whole: an import either becomes an immutable version, named by its
content digest, or a report that names file and reason, and the dataset stays as it was. What is online can be used
elsewhere without asking again, and files that somebody holds are never taken away.
"""
