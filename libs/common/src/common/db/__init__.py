"""The database of one service, and what commits together in it: state, events sent, events heard, leases.

Outbox and inbox follow the transactional outbox pattern: a state change and its events are one commit, and an
event's effect and the note that it was heard are one commit.
"""
