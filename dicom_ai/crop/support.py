"""Grey pixels to the shape of the ultrasound picture in them: the witness that never reads the regions.

A picture is a large area densely filled with changing grey; text, bars, ticks, logos and body marks are thin, or
flat, or small. Density, opening and the largest component find it; a shape that a transducer can give is fitted to
it, so that a dark half or an anechoic organ does not bite into it. What this is not: a search for text on tissue.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np

from dicom_ai.crop.evidence import PAINT, Evidence, Grey, evidence_of, grown
from dicom_ai.crop.fit import LEAST_POINTS, Asked, Light, moved, seen_along, windowed
from dicom_ai.crop.guess import best_shape, filled
from dicom_ai.crop.parts import DENSE, LEAST_SHARE, dense_blocks, groups_of
from dicom_ai.crop.polygon import polygons_of
from dicom_ai.crop.shape import Shape
from dicom_ai.kept import Mask, Polygon

MOST_LOST, MOST_DARK = 0.08, 0.35
"""Shares from which a fitted shape is not believed and the picture's hull is taken: of the hull left outside, and of
the shape that is dark. A sector may be a third dark (lost contact, depth); a shape that misses picture is wrong."""

PICTURE, UNKNOWN, DARK, FURNITURE = -1.0, 0.0, 0.4, 2.0
"""Weights of a shape: losing picture costs more than adding dark; taking in a mark costs most; what lies between
picture in its row and in its column (a dark organ, a shadow) costs nothing either way."""

BRIGHT, LEAST_MARK, LONELY = 96, 3, 0.6
"""What counts as written in the dark beyond a picture: grey level, blocks, and most of what is lit around it; around a
scrap of tissue there is speckle."""

ONE_SIDED = 0.6
"""Weight, in `lopsided`, of the share of one side that the window cuts while it leaves the other."""

NEARBY = 16
"""Pixels to either side of the outline found on blocks in which the exact edge is looked for."""

LONGEST_SIDE = 32766
"""Pixels of a frame in which a picture is looked for; OpenCV cannot sample more, and no screen has as many."""

BRIGHTEST = 40
"""Grey levels above black that count as full light when the edge is made exact; more would let one bright line pull."""


@dataclass(frozen=True)
class Support:
    """Where the pixels say the picture is.

    Attributes:
        polygons: one per picture (two for a dual view), left to right, full-frame pixels.
        kind: "sector", "trapezoid", "rectangle" or "free".
        confidence: 0..1, how well shape and lit picture cover each other, picture left out weighing most; for a
            free shape the share of it that is lit.
        edges: of every side, top and bottom within the window, points and whether the light is seen to end there;
            none for a free shape.
        lopsided: 0..1, how unlike the two sides are; a transducer's lean alike, to one side or to both.
        light: how the screen was looked at when the edge was made exact; None for a free shape.
        steps: uint8 (h, w), range of grey levels in each block of the screen (`evidence.Evidence`).
    """

    polygons: tuple[Polygon, ...]
    kind: str
    confidence: float
    edges: tuple[tuple[Asked, ...], ...] = ()
    lopsided: float = 0.0
    light: Light | None = field(default=None, repr=False, compare=False)
    steps: Grey = field(default_factory=lambda: np.zeros((1, 1), np.uint8), repr=False, compare=False)

    def row(self) -> dict[str, Any]:
        """The vote as small JSON (without the vertices)."""
        said = {name: round(getattr(self, name), 3) for name in ("confidence", "lopsided")}
        return {"kind": self.kind, "pictures": len(self.polygons)} | said


def picture_support(grey: Grey) -> Support | None:
    """Find the scan picture.

    Args:
        grey: uint8 (H, W); for colour the brightest channel, for a clip the maximum over time.

    Returns:
        The shape, or None when nothing in the pixels looks like an ultrasound picture.
    """
    if min(grey.shape) < 64 or max(grey.shape) > LONGEST_SIDE:
        return None
    seen = evidence_of(grey)
    dense = dense_blocks(seen)
    found = [_drawn(grey, seen, dense, group) for group in groups_of(grey, seen, dense)]
    if not found:
        return None
    kinds = {drawn.kind for drawn in found}
    return Support(
        polygons=tuple(sorted(drawn.polygon for drawn in found)),
        kind=kinds.pop() if len(kinds) == 1 else "free",
        confidence=min(drawn.confidence for drawn in found),
        edges=tuple(edge for drawn in found for edge in drawn.edges),
        lopsided=max(drawn.lopsided for drawn in found),
        light=found[0].light,
        steps=seen.steps,
    )


@dataclass(frozen=True)
class _Drawn:
    polygon: Polygon
    kind: str
    confidence: float
    edges: tuple[tuple[Asked, ...], ...] = ()
    lopsided: float = 0.0
    light: Light | None = None


def _drawn(grey: Grey, seen: Evidence, dense: Grey, parts: list[Mask]) -> _Drawn:
    """The shape around the first part, and around the further parts that it explains as well."""
    best, shape = _fit(seen, dense, parts[0])
    loose = _explained(shape, parts[1:])
    if loose:
        joint, other = _fit(seen, dense, np.logical_or.reduce([parts[0], *loose]))
        if other is not None and joint.confidence >= best.confidence - 0.05:
            best, shape = joint, other
    if shape is None:
        return best
    light, large = _light(grey, seen, shape), shape.scaled(seen.scale)
    exact = moved(windowed(large, light, reach=NEARBY), light, reach=NEARBY, rounds=4)
    edges = seen_along(exact, light, reach=NEARBY)
    return replace(best, polygon=exact.polygon(), edges=edges, lopsided=_lopsided(exact, edges), light=light)


def _lopsided(shape: Shape, edges: tuple[tuple[Asked, ...], ...]) -> float:
    """Angle by which the sides differ from leaning alike to both sides (or to one), over their own lean, 0..1.

    A side that the window has taken away whole says nothing, so both must be there or both be gone.
    """
    if shape.style.is_upright:
        return 0.0
    if (len(edges[0]) < LEAST_POINTS) != (len(edges[1]) < LEAST_POINTS):
        return 1.0
    cut = abs(len(edges[0]) - len(edges[1])) / max(len(edges[0]), len(edges[1]), 1)
    left, right = (float(np.arctan(slope)) for slope in shape.slopes)
    apart = min(abs(left + right), abs(left - right) if not shape.style.is_far_arc else np.inf)
    return min(1.0, max(ONE_SIDED * cut, apart / max(abs(left), abs(right), 0.35)))


def _explained(shape: Shape | None, parts: list[Mask]) -> list[Mask]:
    """The loose parts that may belong to a picture: large ones, and crumbs that lie where its shape would go on."""
    if not parts:
        return []
    rows, columns = parts[0].shape
    if shape is None:
        room = np.zeros((rows, columns), np.bool_)
    else:
        room = replace(shape, cut=(0.0, 0.0, float(columns), float(rows))).mask(rows, columns)
    large = LEAST_SHARE * rows * columns
    return [part for part in parts if part.sum() >= large or (part & room).sum() >= 0.8 * part.sum()]


def _fit(seen: Evidence, dense: Grey, coarse: Mask) -> tuple[_Drawn, Shape | None]:
    """The best shape on the blocks; None when none is believed and the picture's hull is taken."""
    rows, columns = dense.shape
    picture = (dense & grown(coarse, 1)) > 0
    hull = filled(picture)
    weights = np.full((rows, columns), DARK, np.float32)
    weights[(cv2.blur(seen.sure, (3, 3)) > DENSE // 2) & (grown(seen.peak, 1) >= PAINT)] = FURNITURE
    weights[hull | ((dense & grown(coarse, 6)) > 0)] = UNKNOWN
    weights[picture] = PICTURE
    shape = best_shape(weights, picture, hull)
    mask = shape.mask(rows, columns)
    lost = float((hull & ~mask).sum() / max(1, hull.sum()))
    dark = float((mask & ~hull).sum() / max(1, mask.sum()))
    if lost > MOST_LOST or dark > MOST_DARK or _is_marked(seen, mask & (grown(hull, 2) == 0)):
        polygon = max(polygons_of(hull), key=len)
        drawn = tuple((x * seen.scale, y * seen.scale) for x, y in polygon)
        return _Drawn(drawn, "free", float(picture.sum() / max(1, hull.sum()))), None
    return _Drawn((), shape.kind, 1.0 - lost - dark / 3.0), shape


def _is_marked(seen: Evidence, beyond: Mask) -> bool:
    """Whether anything is written in the dark part of a shape beyond the picture's hull.

    A shape goes on into the dark because a transducer's does. That is only true where it is dark.
    """
    bright = (beyond & (seen.peak >= BRIGHT)).view(np.uint8)
    if cv2.countNonZero(bright) < LEAST_MARK:
        return False
    _, labels, stats, _ = cv2.connectedComponentsWithStats(bright)
    sizes = stats[1:, cv2.CC_STAT_AREA]
    crowd = np.bincount(labels.ravel(), weights=cv2.blur(seen.sure, (5, 5)).ravel())[1:] / np.maximum(sizes, 1)
    return bool(((sizes >= LEAST_MARK) & (crowd < LONELY * 255)).any())


def _light(grey: Grey, seen: Evidence, shape: Shape) -> Light:
    """How bright the full-frame pixels are, against what is usual inside the shape."""
    height, width = seen.lit.shape
    middle = seen.scale // 2
    inside = grey[middle : height * seen.scale : seen.scale, middle : width * seen.scale : seen.scale]
    values = inside[shape.mask(height, width)]
    usual = int(np.searchsorted(np.bincount(values, minlength=256).cumsum(), (values.size + 1) // 2))  # the median
    full = float(np.clip(usual - seen.black, 6, BRIGHTEST)) if values.size else BRIGHTEST
    table = np.clip((np.arange(256) - seen.black) / full, 0, 1).astype(np.float32)
    floor = min(1.0, (seen.level + 1 - seen.black) / full)
    plane = np.asarray(cv2.blur(grey, (3, 3)), np.uint8)
    if seen.painted.any():  # what is painted beside a picture is not its light
        size = width * seen.scale, height * seen.scale
        clear = cv2.resize(255 - 255 * seen.painted, size, interpolation=cv2.INTER_NEAREST)
        plane[: size[1], : size[0]] &= np.asarray(clear, np.uint8)
    return Light(plane, table, least=0.4, floor=floor)
