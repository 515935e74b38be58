"""Text inside the kept shape, searched on every kept frame before a network or an overlay sees it.

A hit that stands still over the whole clip and is small is painted black where the policy allows it; every other hit
quarantines the object. What this is not: reading. `ocr` reads, slowly, what leaves the patient's own study.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from dicom_ai.crop.glyphs import lettering
from dicom_ai.crop.marks import without_marks
from dicom_ai.crop.overlay import Still
from dicom_ai.crop.policy import Policy
from dicom_ai.crop.strokes import CELL, planes
from dicom_ai.crop.templates import likeness
from dicom_ai.crop.tint import coloured_strokes
from dicom_ai.kept import Box, Mask

Grey = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

FAINT, WEAK, SURE = 0.0, 0.5, 5.0
"""Logits: cells above the first are joined; a group whose cells add up to the third is a hit; one that reaches the
second is compared with the words of the header."""

NEAR = -1.0
"""Logit of cells that belong to a hit they touch when it is painted black."""

FAINTEST = 12
"""Grey levels by which the strongest strokes of a group must stand out: under that nobody reads it on a screen, and
what a video coder leaves in the dark looks like anything."""

ALIKE = 0.5
"""Correlation with a rendered word of the header from which a group that is no hit on its own becomes one."""

MOST_WRITING, MOST_BLANKED = 0.02, 0.05
"""Shares of the kept area: of one text without any margin, and of everything that is painted black. What needs more
is a picture with writing on it, and a person should look."""

LEAST_MARGIN = 4
"""Pixels painted black around the cells of a text, or a quarter of their height: soft edges, what lossy compression
spreads, strokes that hang below the line; and a cell more on either side, for a letter's rim or a dot."""

LEAST_COLOURED = 12
"""Thin coloured pixels that make a second look, at the colours alone, worth its time."""

_RIM = (11, 11)  # pixels: wider than what the measures reach
_BROAD = np.ones((15, 15), np.uint8)
_MOST_MARKED = 200 * 200  # pixels of a part in which marks are looked for
_MOST_REMEMBERED = 50
_MOST_WEAK = 3  # groups compared with words: each costs some milliseconds


@dataclass(frozen=True)
class TextVote:
    """What was found.

    Attributes:
        blanked: half-open boxes, full-frame pixels, to be set to zero on every frame.
        reason: None, or "text_on_tissue".
        seen: small JSON for people: kinds and counts of what was found, boxes; never the text itself.
    """

    blanked: tuple[Box, ...]
    reason: str | None
    seen: dict[str, Any]


@dataclass(frozen=True)
class _Group:
    """Cells that look like letters, as a box in pixels of the window, and how much they do."""

    box: Box
    weight: float


class TextCheck:
    """Looks at the frames one after the other, then says what was found.

    Args:
        keep: bool (rows, columns), the kept shape.
        words: header words that must not stand in the picture (`words.identity_words`).
    """

    def __init__(self, keep: Mask, words: tuple[str, ...]) -> None:
        self._words = words
        self._area = int(keep.sum())
        ys, xs = np.flatnonzero(keep.any(axis=1)), np.flatnonzero(keep.any(axis=0))
        x0, y0, x1, y1 = (int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1) if ys.size else (0, 0, CELL, CELL)
        self._window = x0, y0, x1, y1
        self._pad = (-(y1 - y0)) % CELL, (-(x1 - x0)) % CELL
        kept = keep[y0:y1, x0:x1].astype(np.uint8) * np.uint8(255)
        self._inside = np.pad(kept, ((0, self._pad[0]), (0, self._pad[1])))
        rows, columns = self._inside.shape
        blocks = self._inside.reshape(rows // CELL, CELL, columns // CELL, CELL)
        self._cells: Mask = np.asarray(blocks.any(axis=(1, 3)), np.bool_)
        self._nearness = np.asarray(cv2.blur(self._inside, _RIM), np.uint8)
        self._frames = self._marks = 0
        self._hits: list[Box] = []
        self._weak: list[tuple[float, Box, Grey]] = []
        self._still = Still()
        self._peak = np.full(self._cells.shape, -20, np.float32)

    def look(self, frame: npt.NDArray[np.uint8]) -> None:
        """Take in one full frame, uint8 (rows, columns, C), C 1 or 3 (RGB)."""
        self._frames += 1
        if not self._area:
            return
        x0, y0, x1, y1 = self._window
        part = frame[y0:y1, x0:x1]
        if part.shape[2] == 1:
            brightest = self._padded(part[:, :, 0])
        else:
            channels = cv2.split(part)
            most = cv2.max(cv2.max(channels[0], channels[1]), channels[2])
            least = cv2.min(cv2.min(channels[0], channels[1]), channels[2])
            brightest = self._padded(np.asarray(most, np.uint8))
            self._look_at_colour(self._padded(np.asarray(cv2.subtract(most, least), np.uint8)))
        self._still.add(brightest)
        self._judge(brightest, is_kept=True)

    def vote(self, policy: Policy) -> TextVote:
        """Decide over all frames looked at."""
        hits = list(self._hits)
        over_time = self._still.pictures()
        for picture in over_time:
            hits += self._judge(picture, is_kept=False)
        named = sorted(self._weak, key=lambda one: -one[0])[:_MOST_WEAK]
        hits += [box for _, box, patch in named if likeness(patch, self._words, box[3] - box[1] + CELL) >= ALIKE]
        seen = {"frames": self._frames, "hits": len(hits), "marks": self._marks, "weak": len(self._weak)}
        if not hits:
            return TextVote((), None, seen)
        boxes = self._blankable(hits) if policy.blank == "static" else None
        if boxes is not None:
            placed = tuple(self._placed(box) for box in boxes)
            return TextVote(placed, None, seen | {"boxes": [list(box) for box in placed]})
        placed = tuple(self._placed(box) for box in _merged(hits)[:20])
        return TextVote((), "text_on_tissue", seen | {"boxes": [list(box) for box in placed]})

    def _blankable(self, hits: list[Box]) -> list[Box] | None:
        """Boxes that cover every hit whole, if all of it stands still, is small and is no word of the header."""
        near = [group.box for group in _groups(self._peak, NEAR)]
        tight = _merged([*hits, *(box for box in near if any(_touch(box, hit) for hit in hits))])
        if any(
            self._share(_less_half_a_cell(box)) > MOST_WRITING or not self._still.is_still(box, self._inside)
            for box in tight
        ):
            return None
        boxes = _merged([_with_margin(box, self._inside.shape) for box in tight])
        is_named = any(likeness(self._still.patch(box), self._words, box[3] - box[1]) >= ALIKE for box in tight)
        return None if is_named or sum(map(self._share, boxes)) > MOST_BLANKED else boxes

    def _share(self, box: Box) -> float:
        """Of the kept pixels that a box holds."""
        x0, y0, x1, y1 = box
        return cv2.countNonZero(self._inside[y0:y1, x0:x1]) / self._area

    def _look_at_colour(self, chroma: Grey) -> None:
        """Coloured letters on grey echoes may be no brighter than these; the colours alone show them."""
        chroma = chroma & self._inside
        boxes, count = coloured_strokes(chroma, self._area)
        self._hits += boxes
        if count >= LEAST_COLOURED:
            self._judge(chroma, is_kept=True)

    def _judge(self, grey: Grey, *, is_kept: bool) -> list[Box]:
        """Groups in one picture of the window; hits and candidates are remembered if it is a frame."""
        grey = self._within(grey)
        logits = lettering(planes(grey, self._inside), self._cells)
        found = []
        if is_kept:
            np.maximum(self._peak, logits, out=self._peak)
        for group in _groups(logits, FAINT):
            if _contrast(grey, group.box) < FAINTEST:
                continue
            if group.weight >= SURE and self._is_mark(grey, group.box):
                self._marks += is_kept
            elif group.weight >= SURE:
                found.append(group.box)
            elif is_kept and self._words and group.weight >= WEAK and len(self._weak) < _MOST_REMEMBERED:
                x0, y0, x1, y1 = group.box
                patch = grey[max(0, y0 - CELL) : y1 + CELL, max(0, x0 - 60) : x1 + 60].copy()
                self._weak.append((group.weight, group.box, patch))
        if is_kept:
            self._hits += found
        return found

    def _within(self, grey: Grey) -> Grey:
        """The picture with its own mean values going on outside the kept shape, so that text there casts nothing in."""
        outside = cv2.blur(cv2.bitwise_and(grey, self._inside), _RIM)
        filled = np.asarray(cv2.divide(outside, self._nearness, scale=255), np.uint8)
        cv2.copyTo(grey, self._inside, filled)
        return filled

    def _is_mark(self, grey: Grey, box: Box) -> bool:
        """Whether nothing like text is left there once marks are taken out."""
        rows, columns = grey.shape
        x0, y0, x1, y1 = max(0, box[0] - 24), max(0, box[1] - 24), min(columns, box[2] + 24), min(rows, box[3] + 24)
        if (x1 - x0) * (y1 - y0) > _MOST_MARKED:
            return False
        left = without_marks(np.ascontiguousarray(grey[y0:y1, x0:x1]))
        if left is None:
            return False
        inside = np.ascontiguousarray(self._inside[y0:y1, x0:x1])
        cells = self._cells[y0 // CELL : y1 // CELL, x0 // CELL : x1 // CELL]
        return all(group.weight < SURE for group in _groups(lettering(planes(left, inside), cells), FAINT))

    def _padded(self, part: Grey) -> Grey:
        return np.asarray(cv2.copyMakeBorder(part, 0, self._pad[0], 0, self._pad[1], cv2.BORDER_REPLICATE), np.uint8)

    def _placed(self, box: Box) -> Box:
        x, y, right, bottom = self._window
        x0, y0, x1, y1 = box
        return max(x, x0 + x), max(y, y0 + y), min(right, x1 + x), min(bottom, y1 + y)


def _groups(logits: Floats, least: float) -> list[_Group]:
    """Cells above `least` that touch, also by a corner."""
    lit = (logits > least).astype(np.uint8)
    if not lit.any():
        return []
    count, labels, stats, _ = cv2.connectedComponentsWithStats(lit)
    weights = np.bincount(labels.ravel(), weights=np.where(lit > 0, logits - least, 0).ravel(), minlength=count)
    groups = []
    for label in range(1, count):
        x, y, w, h, _ = (int(value) for value in stats[label])
        groups.append(_Group((x * CELL, y * CELL, (x + w) * CELL, (y + h) * CELL), float(weights[label])))
    return groups


def _contrast(grey: Grey, box: Box) -> float:
    """Grey levels by which the strongest twentieth of the pixels stands out from what is around."""
    x0, y0, x1, y1 = box
    part = grey[max(0, y0 - CELL) : y1 + CELL, max(0, x0 - CELL) : x1 + CELL]
    bright, dark = (cv2.morphologyEx(part, way, _BROAD) for way in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT))
    return float(max(np.quantile(bright, 0.95), np.quantile(dark, 0.95)))


def _less_half_a_cell(box: Box) -> Box:
    """Cells reach over the letters in them by half a cell on each side, on average."""
    return box[0] + CELL // 2, box[1] + CELL // 2, box[2] - CELL // 2, box[3] - CELL // 2


def _with_margin(box: Box, shape: tuple[int, ...]) -> Box:
    x0, y0, x1, y1 = box
    by = max(LEAST_MARGIN, -(-(y1 - y0) // 4))
    return max(0, x0 - by - CELL), max(0, y0 - by), min(shape[1], x1 + by + CELL), min(shape[0], y1 + by)


def _merged(boxes: list[Box]) -> list[Box]:
    """Boxes that overlap become one."""
    out: list[Box] = []
    for box in sorted(set(boxes)):
        x0, y0, x1, y1 = box
        while True:
            beside = next((one for one in out if _touch(one, (x0, y0, x1, y1))), None)
            if beside is None:
                break
            out.remove(beside)
            x0, y0, x1, y1 = min(x0, beside[0]), min(y0, beside[1]), max(x1, beside[2]), max(y1, beside[3])
        out.append((x0, y0, x1, y1))
    return out


def _touch(one: Box, other: Box) -> bool:
    return one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]
