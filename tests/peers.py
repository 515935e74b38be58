"""Peers for tests: a real Orthanc on ports of its own, and one way to look into any receiver.

What this is not: a mock. Everything here listens on a real socket.
"""

import itertools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PLUGINS = Path("/usr/share/orthanc/plugins")
START_LIMIT_S = 30.0


_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 4
_ports = itertools.cycle(random.SystemRandom().sample(range(12_000 + 5_000 * _WORKER, 17_000 + 5_000 * _WORKER), 5_000))


def free_port() -> int:
    """A TCP port nobody listens on, and that nobody takes soon.

    A port the system picks may be given to the next outgoing connection before the test listens on it, so ours lie
    below the range those are taken from (32768 on), and each worker of a parallel run has a range of its own.
    """
    for port in _ports:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:  # another session on this machine
                continue
            return port
    raise AssertionError("a cycle does not end")


class Orthanc:
    """A running Orthanc. `start` after `stop` uses the same ports and storage, as a PACS after an outage does."""

    ae_title = "ORTHANC"
    host = "127.0.0.1"

    def __init__(self, folder: Path, *, callers: tuple[str, ...] = ("DICOM_AI",), **options: Any) -> None:
        self.port, self.http_port = free_port(), free_port()
        self.log = folder / "orthanc.log"
        self._folder, self._callers, self._options = folder, callers, options
        self._process: subprocess.Popen[bytes] | None = None

    def _config(self) -> Path:
        # 1.10.1 listens on every address whatever HttpBindAddresses says: let nobody but this machine in.
        config = {
            "Name": "test",
            "StorageDirectory": str(self._folder / "storage"),
            "IndexDirectory": str(self._folder / "storage"),
            "DicomAet": self.ae_title,
            "DicomPort": self.port,
            "HttpPort": self.http_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomCheckModalityHost": True,
            "DicomAlwaysAllowStore": False,
            "DicomAlwaysAllowEcho": False,
            "DicomModalities": {name.lower(): [name, "127.0.0.1", free_port()] for name in self._callers},
            "UnknownSopClassAccepted": True,
            "DefaultEncoding": "Utf8",
            "OverwriteInstances": False,
            "Plugins": [str(PLUGINS / "libOrthancDicomWeb.so")],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        }
        path = self._folder / "orthanc.json"
        path.write_text(json.dumps(config | self._options))
        return path

    def start(self) -> None:
        """Start and wait until it answers over HTTP and listens for DICOM."""
        binary = shutil.which("Orthanc") or pytest.skip("Orthanc is not installed (Debian package orthanc)")
        command = [binary, str(self._config())]
        # Without TCP_NODELAY its responses wait for our delayed ACK, 40 ms each.
        environment = {**os.environ, "TCP_NODELAY": "1"}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        deadline = time.monotonic() + START_LIMIT_S
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                pytest.fail(f"Orthanc did not start:\n{self.log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)

    def stop(self) -> None:
        """End it by SIGTERM, as an orderly shutdown does."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=5)

    def _is_ready(self) -> bool:
        try:
            self.get("/system")
            with socket.create_connection((self.host, self.port), timeout=1):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def get(self, path: str) -> bytes:
        """Body of a GET request to the REST API."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=10) as response:
            return bytes(response.read())

    def instances(self) -> list[str]:
        """Orthanc's own ids of everything it holds."""
        return list(json.loads(self.get("/instances")))

    def download(self, instance: str) -> bytes:
        """The Part 10 file Orthanc holds for one of its ids."""
        return self.get(f"/instances/{instance}/file")

    def received(self) -> list[bytes]:
        """Part 10 files of everything it holds."""
        return [self.download(instance) for instance in self.instances()]


@contextmanager
def orthanc(folder: Path, *, callers: tuple[str, ...] = ("DICOM_AI",), **options: Any) -> Iterator[Orthanc]:
    """A running Orthanc that knows `callers`; skips the test where the package is not installed.

    Args:
        folder: for its configuration, storage and log.
        callers: AE titles that may store and echo, from this machine only.
        options: further keys of its configuration, over ours.
    """
    server = Orthanc(folder, callers=callers, **options)
    server.start()
    try:
        yield server
    finally:
        server.stop()
