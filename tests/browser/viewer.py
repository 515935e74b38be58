"""OHIF's pages and Orthanc's DICOMweb on one origin, as a hospital's reverse proxy serves them.

The viewer is not part of this project and nothing here fetches it. Once, where there is a registry of npm packages:

    npm pack @ohif/app@3.12.10 && tar xzf ohif-app-3.12.10.tgz

and then `DICOM_AI_OHIF=$PWD/package/dist` in the environment of the tests, or the folder `dist` moved to `CACHE`.
The browser is Debian's (package chromium), driven by Playwright from the extra `dev`; no browser is downloaded.
What this is not: a web server for anybody but one browser of a test.
"""

import json
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

VERSION = "3.12.10"
CACHE = Path.home() / ".cache" / "dicom-ai" / f"ohif-{VERSION}"
CHROMIUM = Path("/usr/bin/chromium")
_PASSED_ON = ("Accept", "Content-Type", "Range")

_CONFIG: dict[str, Any] = {
    "name": "test",
    "routerBasename": "/",
    "extensions": [],
    "modes": [],
    "showStudyList": True,
    "showLoadingIndicator": True,
    "showWarningMessageForCrossOrigin": False,
    "showErrorDetails": "always",
    "maxNumberOfWebWorkers": 1,
    "defaultDataSourceName": "dicomweb",
    "dataSources": [
        {
            "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
            "sourceName": "dicomweb",
            "configuration": {
                "friendlyName": "Orthanc",
                "name": "orthanc",
                "wadoUriRoot": "/dicom-web",
                "qidoRoot": "/dicom-web",
                "wadoRoot": "/dicom-web",
                "qidoSupportsIncludeField": False,
                "supportsReject": False,
                "imageRendering": "wadors",
                "thumbnailRendering": "wadors",
                "enableStudyLazyLoad": True,
                "supportsFuzzyMatching": False,
                "supportsWildcard": True,
                "omitQuotationForMultipartRequest": True,
                "bulkDataURI": {"enabled": True},
            },
        }
    ],
}


def dist() -> Path:
    """The folder of OHIF's pages; skips the test, with the remedy, where there is none."""
    named = os.environ.get("DICOM_AI_OHIF")
    folder = Path(named) if named else CACHE
    if not (folder / "index.html").is_file():
        pytest.skip(f"no OHIF pages: npm pack @ohif/app@{VERSION}, unpack it, DICOM_AI_OHIF=…/package/dist")
    if not CHROMIUM.exists():
        pytest.skip("Chromium is not installed (Debian package chromium)")
    return folder


@contextmanager
def pages(orthanc_http_port: int) -> Iterator[str]:
    """Serve until the block ends; gives the origin."""
    folder = dist()

    class Handler(_Pages):
        upstream = f"http://127.0.0.1:{orthanc_http_port}"

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, directory=str(folder), **kwargs)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


class _Pages(SimpleHTTPRequestHandler):
    upstream: str
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/dicom-web/"):
            self._pass_on()
        elif path == "/app-config.js":
            self._answer(200, "text/javascript", f"window.config = {json.dumps(_CONFIG)};".encode())
        else:
            if not Path(self.translate_path(path)).is_file():
                self.path = "/index.html"  # a single-page application: its own routes are no files
            super().do_GET()

    def end_headers(self) -> None:
        # without these two the page may not share memory between its workers
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _pass_on(self) -> None:
        headers = {name: self.headers[name] for name in _PASSED_ON if name in self.headers}
        headers["Host"] = self.headers["Host"]  # Orthanc's bulk data addresses then lie on this origin
        request = urllib.request.Request(self.upstream + self.path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                self._answer(response.status, response.headers["Content-Type"], response.read())
        except urllib.error.HTTPError as error:
            self._answer(error.code, error.headers.get("Content-Type", "text/plain"), error.read())

    def _answer(self, status: int, kind: str | None, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind or "application/octet-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
