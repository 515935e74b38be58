"""Text inside the kept shape, searched on every kept frame before a network or an overlay sees it.

A hit that stands still over the whole clip and is small is painted black where the policy allows it; every other hit
quarantines the object. What this is not: reading. `ocr` reads, slowly, what leaves the patient's own study.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from dicom_ai.crop.closer import blocks_above, closer
from dicom_ai.crop.glyphs import lettering
from dicom_ai.crop.groups import Group, contrast, groups, merged, touch, with_margin, without_rim
from dicom_ai.crop.marks import without_marks
from dicom_ai.crop.overlay import Still
from dicom_ai.crop.policy import Policy
from dicom_ai.crop.strokes import CELL, planes
from dicom_ai.crop.templates import likeness
from dicom_ai.crop.tint import coloured_strokes
from dicom_ai.kept import Box, Mask

Grey = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

FAINT, WEAK, SURE = 0.0, 0.5, (5.0, 0.0)
"""Logits: cells above the first are joined; a group whose cells add up to the third is a hit; one that reaches the
second is compared with the words of the header."""

LOOKED_AT, CLEAR, STILL_CLEAR = -1.0, (5.0, 2.0), (40.0, 4.0)
"""Logits: where the first look gives more than the first, a closer one follows; a group of that whose cells add up to
the second and whose clearest cell reaches the third is a hit as well. Of text that the rule calls legible the first
look alone misses one in a hundred at its own threshold, and next to nothing at this one. In pictures made of many
frames speckle looks stranger: the last pair is asked there."""

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

LEAST_COLOURED = 12
"""Thin coloured pixels that make a second look, at the colours alone, worth its time."""

_RIM = (11, 11)  # pixels: wider than what the measures reach
_MOST_MARKED = 200 * 200  # pixels of a part in which marks are looked for
_MOST_REMEMBERED = 50
_MOST_WEAK = 3  # groups compared with words: each costs some milliseconds
_MOST_LOOKED_AT = 24  # blocks of a picture; the clearest first


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
        placed = tuple(self._placed(box) for box in merged(hits)[:20])
        return TextVote((), "text_on_tissue", seen | {"boxes": [list(box) for box in placed]})

    def _blankable(self, hits: list[Box]) -> list[Box] | None:
        """Boxes that cover every hit whole, if all of it stands still, is small and is no word of the header."""
        near = [group.box for group in groups(self._peak, NEAR)]
        tight = merged([*hits, *(box for box in near if any(touch(box, hit) for hit in hits))])
        if any(
            self._share(without_rim(box)) > MOST_WRITING or not self._still.is_still(box, self._inside) for box in tight
        ):
            return None
        boxes = merged([with_margin(box, self._inside.shape) for box in tight])
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
        """Hits in one picture of the window; they and candidates are remembered if it is a frame."""
        grey = within(grey, self._inside, self._nearness)
        first = lettering(planes(grey, self._inside), self._cells)
        second = _closely(grey, first)
        found = self._hits if is_kept else []
        if is_kept:
            np.maximum(self._peak, cv2.max(first, second), out=self._peak)
        for looked, sure in ((first, SURE), (second, CLEAR if is_kept else STILL_CLEAR)):
            for group in groups(looked, FAINT):
                if contrast(grey, group.box) < FAINTEST:
                    continue
                if not _is_hit(group, sure):
                    if is_kept and looked is first:
                        self._remember(grey, group)
                elif self._is_mark(grey, group.box):
                    self._marks += is_kept
                else:
                    found.append(group.box)
        return found

    def _remember(self, grey: Grey, group: Group) -> None:
        """What may be a word of the header although it does not look like text by itself."""
        if self._words and group.weight >= WEAK and len(self._weak) < _MOST_REMEMBERED:
            x0, y0, x1, y1 = group.box
            patch = grey[max(0, y0 - CELL) : y1 + CELL, max(0, x0 - 60) : x1 + 60].copy()
            self._weak.append((group.weight, group.box, patch))

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
        first = lettering(planes(left, inside), cells)
        second = _closely(left, first)
        return all(
            not _is_hit(group, sure)
            for looked, sure in ((first, SURE), (second, CLEAR))
            for group in groups(looked, FAINT)
        )

    def _padded(self, part: Grey) -> Grey:
        return np.asarray(cv2.copyMakeBorder(part, 0, self._pad[0], 0, self._pad[1], cv2.BORDER_REPLICATE), np.uint8)

    def _placed(self, box: Box) -> Box:
        x, y, right, bottom = self._window
        x0, y0, x1, y1 = box
        return max(x, x0 + x), max(y, y0 + y), min(right, x1 + x), min(bottom, y1 + y)


def within(grey: Grey, inside: Grey, nearness: Grey) -> Grey:
    """The picture with its own mean values going on outside the kept shape, so that text there casts nothing in.

    Args:
        grey: uint8 (H, W).
        inside: the kept shape, uint8 (H, W), 255 or 0.
        nearness: `inside` blurred over 11 pixels.
    """
    outside = cv2.blur(cv2.bitwise_and(grey, inside), _RIM)
    filled = np.asarray(cv2.divide(outside, nearness, scale=255), np.uint8)
    cv2.copyTo(grey, inside, filled)
    return filled


def _closely(grey: Grey, first: Floats) -> Floats:
    """The closer look, where the first is unsure or sees text."""
    return closer(grey, blocks_above(first, LOOKED_AT)[:_MOST_LOOKED_AT])


def _is_hit(group: Group, sure: tuple[float, float]) -> bool:
    return group.weight >= sure[0] and group.best >= sure[1]
