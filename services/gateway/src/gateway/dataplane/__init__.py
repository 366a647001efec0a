"""`/serve/{service}/…`: the stable addresses of services, balanced over their ready replicas.

This is the data plane that always works (port `common.ports.routes`); faster engines take the same routes.
"""
