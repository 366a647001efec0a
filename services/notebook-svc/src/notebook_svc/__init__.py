"""Base environments, and the development projects that will stand on them (seed 002 §2.5–2.6).

Promises: an environment is seen by its owner, and by others once it is shared; what it says can be edited; deleting
one leaves what was started from it alone.
"""
