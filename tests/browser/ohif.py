"""OHIF in Debian's Chromium: what a reader does in it, and what it says it shows.

Its own services are asked where the page keeps them in sight; what is drawn is read from the page and photographed.
Nothing but the origin of the pages is reachable for it.
"""

import base64
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.browser.viewer import CHROMIUM

_ARGUMENTS = [
    "--no-sandbox",  # Chromium refuses its sandbox to root
    "--ignore-gpu-blocklist",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]
_LIMIT_MS = 60_000.0
_NOW = """() => {
    const id = window.services.viewportGridService.getActiveViewportId();
    const viewport = window.services.cornerstoneViewportService.getCornerstoneViewport(id);
    return (viewport && viewport.getCurrentImageId && viewport.getCurrentImageId()) || "";
}"""
_CANVAS = """() => {
    const id = window.services.viewportGridService.getActiveViewportId();
    return window.services.cornerstoneViewportService.getCornerstoneViewport(id).getCanvas().toDataURL("image/png");
}"""
_SETS = """() => window.services.displaySetService.getActiveDisplaySets().map(d => ({
    modality: d.Modality, description: d.SeriesDescription, images: d.numImageFrames || 0, id: d.displaySetInstanceUID,
    measurements: d.measurements || []}))"""
_DRAWN = """() => window.cornerstoneTools.annotation.state.getAllAnnotations()
    .filter(a => a.metadata.toolName === "DICOMSRDisplay")
    .map(a => ({uid: a.data.TrackingUniqueIdentifier, image: a.metadata.referencedImageId,
        points: Object.values(a.data.renderableData).flat(1)[0]
            .map(p => window.cornerstone.utilities.worldToImageCoords(a.metadata.referencedImageId, p))}))"""


@dataclass
class Ohif:
    """One page of the viewer; what it complains of lands in `errors`, requests elsewhere in `elsewhere`."""

    page: Any
    origin: str
    folder: Path
    errors: list[str]
    elsewhere: list[str]

    def open(self, study: str) -> None:
        """Open a study and put aside what lies over it: the dialog on investigational use."""
        self.page.goto(f"{self.origin}/viewer?StudyInstanceUIDs={study}")
        self.page.get_by_role("button", name="Confirm and hide").click()
        self.page.wait_for_function(f"() => ({_NOW})() !== ''")

    def open_report(self) -> None:
        """Double-click the report; answer that it is to be looked at, not taken over as measurements of one's own."""
        self.page.locator("[data-cy=study-browser-thumbnail-no-image]").dblclick()
        self.page.get_by_role("button", name="No", exact=True).click()
        self.page.wait_for_function("() => document.querySelectorAll('div.text-highlight.cursor-pointer').length === 2")

    def open_set(self, identifier: str) -> None:
        """Double-click the thumbnail of a series."""
        self.page.locator(f"[id='thumbnail-{identifier}']").dblclick()

    def scroll(self) -> None:
        """One image on, as the key for it does."""
        self.page.locator("[data-cy=viewport-pane] canvas").first.hover()
        self.page.mouse.wheel(0, 100)

    def step(self) -> None:
        """The arrow to the right: the next measurement."""
        self.page.locator("[data-cy=viewport-pane] div.text-highlight.cursor-pointer svg").last.click()

    def sets(self) -> list[dict[str, Any]]:
        """The series as the viewer understands them."""
        return list(self.page.evaluate(_SETS))

    def drawn(self) -> list[dict[str, Any]]:
        """Every region that the viewer draws: tracking UID, image id, points in pixels of that image."""
        return list(self.page.evaluate(_DRAWN))

    def current(self) -> str:
        """Image id of what the viewport shows."""
        return str(self.page.evaluate(_NOW))

    def shows(self, sop_instance_uid: str, frame: int) -> None:
        """Wait until the viewport shows this frame (1 for a still); fails where it does not come."""
        wanted = f"/instances/{sop_instance_uid}/frames/{frame}"
        self.page.wait_for_function(f"wanted => ({_NOW})().endsWith(wanted)", arg=wanted)

    def shows_one_of(self, sop_instance_uids: set[str]) -> str:
        """Wait until the viewport shows the first frame of one of these objects; which."""
        wanted = [f"/instances/{uid}/frames/" for uid in sorted(sop_instance_uids)]
        self.page.wait_for_function(f"wanted => wanted.some(one => ({_NOW})().includes(one))", arg=wanted)
        return next(uid for uid in sop_instance_uids if uid in self.current())

    def texts(self, wanted: str) -> list[str]:
        """Wait until the drawing over the image says `wanted`; everything it says."""
        said = "() => [...document.querySelectorAll('.svg-layer text, svg text')].map(t => t.textContent)"
        self.page.wait_for_function(f"wanted => ({said})().some(text => text.includes(wanted))", arg=wanted)
        return list(self.page.evaluate(said))

    def photograph(self, name: str) -> None:
        """A screenshot, kept as `name`.png in the test's folder."""
        self.page.screenshot(path=str(self.folder / f"{name}.png"))

    def pixels(self) -> "np.ndarray[Any, np.dtype[np.uint8]]":
        """The image of the viewport without what is written over it, (rows, columns, BGR); waits until there is one."""
        for _ in range(60):
            encoded = base64.b64decode(str(self.page.evaluate(_CANVAS)).partition(",")[2])
            picture = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
            if picture is not None and (picture > 30).mean() > 0.05:
                return np.asarray(picture, np.uint8)
            self.page.wait_for_timeout(500)
        raise AssertionError("the viewport stays black")


def screenshots(default: Path) -> Path:
    """Where screenshots go: DICOM_AI_SCREENSHOTS, else the test's own folder."""
    folder = Path(os.environ.get("DICOM_AI_SCREENSHOTS") or default)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def ohif(origin: str, folder: Path) -> Iterator[Ohif]:
    """A browser with an empty page of the viewer; skips where Playwright is not installed."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra dev)")
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=str(CHROMIUM), args=_ARGUMENTS)
        try:
            page = browser.new_page(viewport={"width": 1600, "height": 1000})
            page.set_default_timeout(_LIMIT_MS)
            seen = Ohif(page, origin, folder, [], [])
            page.on("pageerror", lambda error: seen.errors.append(str(error)))
            page.route("**/*", lambda route: _only(route, seen))
            page.add_init_script("localStorage.setItem('shownTours', JSON.stringify(['basicViewerTour']))")
            yield seen
        finally:
            browser.close()


def _only(route: Any, seen: Ohif) -> None:
    if route.request.url.startswith(seen.origin):
        route.continue_()
    else:
        seen.elsewhere.append(route.request.url)
        route.abort()
