"""Imported before anything else: training opens no socket, not even one that looks whether there is a network.

urllib3, which comes with other libraries, binds a socket to ::1 when it is imported, to learn whether there is IPv6;
it does not where Python itself says that there is none. What this is not: a barrier (`tests.no_network` is one).
"""

import socket
from contextlib import suppress

_KEPT = socket.has_ipv6
socket.has_ipv6 = False
with suppress(ImportError):
    import urllib3.util.connection  # noqa: F401 - for what its import does
socket.has_ipv6 = _KEPT
