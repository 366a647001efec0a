"""How services are hosted: each alone in a process, by `python -m train_svc`, or together by `embedded`.

Everything that a host decides is here, and no service knows of it: settings, what stands behind the URLs, the address
that is listened on, health, figures, and how a process begins and ends.
"""

from common.hosting.serve import Alone, serve
from common.hosting.settings import Needs, Settings

__all__ = ["Alone", "Needs", "Settings", "serve"]
