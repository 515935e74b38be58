"""Contact sheets of what went wrong, so that a person can look: refusals, leaks, and the worst fits.

Green is the region box, red the exact sector, cyan what was kept, yellow the painted glyphs. Simulated objects only.
"""

from pathlib import Path

import cv2
import numpy as np

from dicom_ai.commands.bench.cases import LEGITIMATE
from dicom_ai.commands.bench.run import Seen
from dicom_ai.commands.bench.verdict import Verdict, surviving
from dicom_ai.simulate.geometry import Grey

WIDE, HIGH = 560, 440
ACROSS, DOWN = 3, 4
MOST_OF_A_KIND = 36

GREEN, RED, CYAN, YELLOW, WHITE = (0, 200, 0), (0, 0, 255), (255, 255, 0), (0, 230, 255), (255, 255, 255)


class Sheets:
    """Collects tiles while the bench runs, then writes them.

    Args:
        folder: made if missing; None collects nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._tiles: dict[str, list[tuple[float, Grey]]] = {}

    def look(self, seen: Seen) -> None:
        """Keep a tile of an object that went wrong."""
        if self._folder is None:
            return
        for kind, rank in _kinds(seen.verdict):
            tiles = self._tiles.setdefault(kind, [])
            if len(tiles) < MOST_OF_A_KIND or rank < tiles[-1][0]:
                tiles.append((rank, _tile(seen)))
                tiles.sort(key=lambda one: one[0])
                del tiles[MOST_OF_A_KIND:]

    def write(self) -> list[Path]:
        """Every sheet, twelve tiles each."""
        if self._folder is None:
            return []
        self._folder.mkdir(parents=True, exist_ok=True)
        written = []
        for kind, tiles in sorted(self._tiles.items()):
            for page, first in enumerate(range(0, len(tiles), ACROSS * DOWN), start=1):
                path = self._folder / f"{kind}-{page}.png"
                cv2.imwrite(str(path), _page([tile for _, tile in tiles[first : first + ACROSS * DOWN]]))
                written.append(path)
        return written


def _kinds(verdict: Verdict) -> list[tuple[str, float]]:
    """Which sheets an object belongs on, each with a rank: the lowest are kept."""
    found: list[tuple[str, float]] = []
    if verdict.trace is not None and verdict.trace.leaked:
        found.append((f"leak-{verdict.place}".replace(" ", "-"), -verdict.trace.most))
    if not verdict.is_accepted and (verdict.place is None or verdict.place in LEGITIMATE):
        found.append((f"refused-{'clean' if verdict.place is None else 'painted'}-{verdict.reason}", 0.0))
    if verdict.place is None and verdict.iou is not None and verdict.iou < 0.97:
        found.append(("worst-fit", verdict.iou))
    return found


def _tile(seen: Seen) -> Grey:
    case = seen.case
    frames = case.subject.shown.frames if case.painted is None else case.painted.frames
    at = 0 if case.painted is None else next(iter(case.painted.glyphs[0].corners))
    frame = frames[at]
    picture = cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR) if frame.ndim == 2 else frame[..., ::-1].copy()
    x0, y0, x1, y1 = case.subject.ground.region
    cv2.rectangle(picture, (x0, y0), (x1 - 1, y1 - 1), GREEN, 1)
    _outline(picture, case.subject.shown.sector_mask, RED)
    if seen.kept is not None:
        _outline(picture, surviving(seen.outcome), CYAN)
    if case.painted is not None:
        corners = [(*glyph.corners[at], *glyph.coverage.shape) for glyph in case.painted.glyphs]
        left, top = min(x for x, _, _, _ in corners), min(y for _, y, _, _ in corners)
        right, low = max(x + w for x, _, _, w in corners), max(y + h for _, y, h, _ in corners)
        cv2.rectangle(picture, (left - 4, top - 4), (right + 3, low + 3), YELLOW, 1)
    scale = min(WIDE / picture.shape[1], (HIGH - 20) / picture.shape[0])
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    tile = np.zeros((HIGH, WIDE, 3), np.uint8)
    tile[20 : 20 + small.shape[0], : small.shape[1]] = small
    v = seen.verdict
    words = f"{v.name} {v.layout} {v.shape} {v.reason or ''} iou {v.iou} left {v.trace.most if v.trace else '-'}"
    cv2.putText(tile, words, (2, 14), cv2.FONT_HERSHEY_PLAIN, 0.9, WHITE, 1, cv2.LINE_AA)
    return tile


def _outline(
    picture: Grey, mask: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], colour: tuple[int, int, int]
) -> None:
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, found, -1, colour, 1)


def _page(tiles: list[Grey]) -> Grey:
    page = np.zeros((-(-len(tiles) // ACROSS) * HIGH, ACROSS * WIDE, 3), np.uint8)
    for index, tile in enumerate(tiles):
        y, x = HIGH * (index // ACROSS), WIDE * (index % ACROSS)
        page[y : y + HIGH, x : x + WIDE] = tile
    return page
