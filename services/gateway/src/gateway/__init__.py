"""One address for everything: who asks, where it goes, what is behind a service's stable address.

Promises: nothing passes without a verified identity; what a client claims about itself in headers is dropped; streams
are never buffered; a revoked key or a disabled user is refused from the next request on.
"""
