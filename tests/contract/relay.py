"""A way to PostgreSQL that cuts a COMMIT: before the server sees it, or after it was done and before its answer."""

import socket
import threading
from contextlib import suppress
from typing import Self

from sqlalchemy import make_url


class CuttingRelay:
    """Hands bytes on between client and server; once `armed`, the next COMMIT ends the connection."""

    def __init__(self, url: str, when: str) -> None:
        """Listen.

        Args:
            url: of the ledger on the server.
            when: "before" the server sees the COMMIT, or "after" it has done it.
        """
        self._target, self._when = make_url(url), when
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends = [self._listener]
        self._threads = [threading.Thread(target=self._accept)]
        self.armed = threading.Event()
        self.url = self._target.set(port=self._listener.getsockname()[1]).render_as_string(hide_password=False)

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._ends:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        for one in self._ends:
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection((str(self._target.host), int(self._target.port or 0)))
                self._ends.extend((client, server))
                is_cut = threading.Event()
                for work, source, sink in ((self._ask, client, server), (self._answer, server, client)):
                    self._threads.append(threading.Thread(target=work, args=(source, sink, is_cut)))
                    self._threads[-1].start()

    def _ask(self, client: socket.socket, server: socket.socket, is_cut: threading.Event) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                if b"COMMIT\0" in data and self.armed.is_set():
                    self.armed.clear()
                    is_cut.set()
                    if self._when == "before":
                        break
                server.sendall(data)
        _end(client, server)

    def _answer(self, server: socket.socket, client: socket.socket, is_cut: threading.Event) -> None:
        with suppress(OSError):
            while (data := server.recv(65536)) and not is_cut.is_set():
                client.sendall(data)
        _end(client, server)


def _end(*ends: socket.socket) -> None:
    for one in ends:
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
