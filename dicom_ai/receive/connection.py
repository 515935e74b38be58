"""One accepted connection: pynetdicom's socket with fewer system calls and no waiting of either side for the other.

pynetdicom reads in pieces of 4 KiB and leaves Nagle's algorithm on; a peer that leaves it on as well then waits
40 ms per object for a delayed acknowledgement. PDUs longer than agreed end the connection.
What this is not: a limit on how many bytes an object has (`bounded`).
"""

import socket

from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket, RequestHandler

_QUICK_ACK = getattr(socket, "TCP_QUICKACK", None)  # Linux only


LARGEST_PDU = 1 << 20
"""Bytes; the largest maximum length the settings allow. A longer PDU was not agreed on."""


class _QuickSocket(AssociationSocket):
    """Reads what was asked for in one buffer and acknowledges at once."""

    def recv(self, nr_bytes: int) -> bytearray:
        """Read `nr_bytes` bytes; fewer when the peer is gone.

        Raises:
            ConnectionError: the peer announces more than was agreed on; the connection is closed then.
        """
        if self.socket is None or nr_bytes > LARGEST_PDU:
            raise ConnectionError
        buffer = bytearray(nr_bytes)
        n_read = 0
        with memoryview(buffer) as view:
            while n_read < nr_bytes:
                count = self.socket.recv_into(view[n_read:])
                if not count:
                    break
                n_read += count
        if _QUICK_ACK is not None:  # the kernel falls back to delayed acknowledgements by itself
            self.socket.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)
        del buffer[n_read:]
        return buffer


class Connection(RequestHandler):
    """Gives every association the quick socket."""

    def _create_association(self) -> Association:
        association = super()._create_association()
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The class alone is exchanged: making another socket would announce the connection a second time.
        association.dul.socket.__class__ = _QuickSocket
        return association
