"""What became of one object: decision, leaks glyph by glyph, agreement with the exact sector, pixels outside the mask.

A leak is a legible glyph (`painting.Glyph.is_legible`) of which at least `LEAKED` of its own pixels lie in what was
kept, on any kept frame. Any surviving pixel is counted too, apart. What this is not: a table; see `summary`.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dicom_ai.commands.bench.cases import Case
from dicom_ai.kept import CropOutcome, Kept, Mask, mask_of
from dicom_ai.simulate.painting import Painted

LEAKED = 0.30
"""Share of a glyph's own pixels; with less left, nobody says which letter it was."""


@dataclass(frozen=True)
class Trace:
    """What is left of a painted text.

    Attributes:
        legible: whether any of its glyphs is. height, contrast, deviations: of its clearest glyph.
        leaked: legible glyphs of which at least `LEAKED` survived on some kept frame.
        touched: legible glyphs of which any pixel survived.
        faint: glyphs that are not legible of which at least `LEAKED` survived.
        most: largest surviving share of a legible glyph.
    """

    legible: bool
    height: int
    contrast: float
    deviations: float
    leaked: int
    touched: int
    faint: int
    most: float


@dataclass(frozen=True)
class Verdict:
    """One object, measured; no pixels."""

    name: str
    layout: str
    is_known: bool
    kind: str
    shape: str
    is_dim: bool
    frames: int
    place: str | None
    is_chinese: bool
    status: str
    reason: str | None
    ms: float
    outside: int
    blanked: int
    iou: float | None
    tissue: float | None
    trace: Trace | None

    @property
    def is_accepted(self) -> bool:
        """Whether pixels came out."""
        return self.status == "cropped"

    def row(self) -> dict[str, Any]:
        """As JSON."""
        return {"row": "object", **asdict(self)}


def verdict(case: Case, outcome: CropOutcome, kept: Kept | None, ms: float) -> Verdict:
    """Measure one object.

    Args:
        case: what was there.
        outcome: of the crop.
        kept: its pixels, every frame asked for.
        ms: that it took.
    """
    subject, mask = case.subject, surviving(outcome)
    shape = mask_of(outcome.keep, *subject.shown.sector_mask.shape) if kept is not None else None
    numbers = () if kept is None else tuple(number - 1 for number in kept.frame_numbers)
    return Verdict(
        name=case.name, layout=subject.layout.name, is_known=subject.is_known, kind=subject.kind, shape=subject.shape,
        is_dim=subject.is_dim, frames=len(subject.shown.frames),
        place=None if case.painted is None else case.painted.place,
        is_chinese=case.is_chinese, status=outcome.status, reason=outcome.reason, ms=round(ms, 1),
        outside=0 if kept is None else outside(kept, mask), blanked=len(outcome.blanked),
        iou=None if shape is None else iou(shape, subject.shown.sector_mask),
        tissue=None if shape is None else tissue(shape, subject.shown.sector_mask),
        trace=None if case.painted is None else trace(case.painted, mask, numbers),
    )  # fmt: skip


def surviving(outcome: CropOutcome) -> Mask:
    """Pixels of the full frame that an outcome lets through, bool (rows, columns); none unless it is cropped."""
    mask = mask_of(outcome.keep, outcome.rows, outcome.columns)
    for x0, y0, x1, y1 in outcome.blanked:
        mask[y0:y1, x0:x1] = False
    return mask


def outside(kept: Kept, mask: Mask) -> int:
    """Pixels that are not zero although the outcome does not let them through, over all frames."""
    assert kept.outcome.box is not None  # noqa: S101 - a cropped outcome has one
    x0, y0, x1, y1 = kept.outcome.box
    return int(np.count_nonzero(kept.frames[:, ~mask[y0:y1, x0:x1]]))


def iou(mask: Mask, truth: Mask) -> float:
    """Intersection over union, 0 to 1."""
    return round(float((mask & truth).sum() / max(1, (mask | truth).sum())), 4)


def tissue(mask: Mask, truth: Mask) -> float:
    """Share of the true scan area that is kept, 0 to 1."""
    return round(float((mask & truth).sum() / max(1, truth.sum())), 4)


def trace(painted: Painted, mask: Mask, frames: tuple[int, ...]) -> Trace:
    """What is left of a text.

    Args:
        painted: it.
        mask: what survives of each frame, bool (rows, columns).
        frames: that were kept, from 0.
    """
    clearest = max(painted.glyphs, key=lambda glyph: (glyph.is_legible, glyph.contrast))
    left = [(glyph, _most(glyph.pixels, mask, frames)) for glyph in painted.glyphs if glyph.character.isalnum()]
    legible = [share for glyph, share in left if glyph.is_legible]
    return Trace(
        legible=painted.is_legible, height=clearest.height, contrast=round(clearest.contrast, 1),
        deviations=round(clearest.deviations, 2),
        leaked=sum(share >= LEAKED for share in legible), touched=sum(share > 0 for share in legible),
        faint=sum(share >= LEAKED for glyph, share in left if not glyph.is_legible),
        most=round(max(legible, default=0.0), 3),
    )  # fmt: skip


def _most(pixels: Any, mask: Mask, frames: tuple[int, ...]) -> float:
    """Largest share of a glyph that survives on one of the frames."""
    found = [pixels(frame) for frame in frames]
    return max((float(mask[at].mean()) for at in found if at is not None), default=0.0)
