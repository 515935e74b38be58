"""Grey pixels to the shape of the ultrasound picture in them: the second witness, which never reads the regions.

A picture is a large area densely filled with changing grey; text, bars, ticks, logos and body marks are thin, or
flat, or small. Density, opening and the largest component find it; a shape that a transducer can give is fitted to
it, so that a dark half or an anechoic organ does not bite into it. What this is not: a search for text on tissue.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from dicom_ai.crop.polygon import box_of, polygons_of
from dicom_ai.crop.shape import STYLES, Shape, fitted
from dicom_ai.kept import Mask, Polygon

Grey = npt.NDArray[np.uint8]

LEAST_SHARE = 0.01
"""Of the frame: anything smaller is a probe in the air or a mark."""

LEAST_ENTROPY = 2.5
"""Bits over 256 grey levels inside the picture: speckle has 5 and more, very faint speckle 2.8; a page of text 1.8."""

MOST_LOST, MOST_DARK = 0.08, 0.35
"""Shares from which a fitted shape is not believed and the picture's hull is taken: of the hull left outside, and of
the shape that is dark. A sector may be a third dark (lost contact, depth); a shape that misses picture is wrong."""

PICTURE, UNKNOWN, DARK, FURNITURE = -1.0, 0.0, 0.4, 2.0
"""Weights of the fit: losing picture costs more than adding dark; taking in a mark costs most; what lies between
picture in its row and in its column (a dark organ, a shadow) costs nothing either way."""

PAINT = 128
"""Grey level some pixel of a letter, tick or bar reaches; scraps of faint tissue do not."""

LONELY = 0.6
"""Share of lit pixels around a letter or tick, which stands on black; around a scrap of tissue there is speckle."""

BRIGHT, LEAST_MARK = 64, 12
"""Grey level and pixels of what counts as written in the dark beyond a picture; faint speckle is below."""


@dataclass(frozen=True)
class Support:
    """Where the pixels say the picture is.

    Attributes:
        polygons: one per picture (two for a dual view), left to right, full-frame pixels.
        kind: "sector", "trapezoid", "rectangle" or "free".
        confidence: 0..1, how well shape and lit picture cover each other, picture left out weighing most; for a
            free shape the share of it that is lit.
    """

    polygons: tuple[Polygon, ...]
    kind: str
    confidence: float

    def row(self) -> dict[str, Any]:
        """The vote as small JSON (without the vertices)."""
        return {"kind": self.kind, "confidence": round(self.confidence, 3), "pictures": len(self.polygons)}


def picture_support(grey: Grey) -> Support | None:
    """Find the scan picture.

    Args:
        grey: uint8 (H, W); for colour the brightest channel, for a clip the maximum over time.

    Returns:
        The shape, or None when nothing in the pixels looks like an ultrasound picture.
    """
    if min(grey.shape) < 64:
        return None
    lit = lit_mask(grey)
    found = [_drawn(grey, lit, group) for group in _groups(grey, lit)]
    if not found:
        return None
    kinds = {drawn.kind for drawn in found}
    polygons = tuple(sorted(polygon for drawn in found for polygon in polygons_of(_solid(drawn.mask))))
    return Support(
        polygons=polygons,
        kind=kinds.pop() if len(kinds) == 1 else "free",
        confidence=min(drawn.confidence for drawn in found),
    )


def lit_mask(grey: Grey) -> Grey:
    """Pixels brighter than the screen's black that are not part of a flat painted area, uint8 0/1 (H, W)."""
    black = int(np.bincount(grey[::2, ::2].ravel(), minlength=256)[:48].argmax())
    lit = (grey >= max(5, black + 4)).astype(np.uint8)
    change = cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    flat = ((change <= 2) & (lit > 0)).astype(np.uint8)  # 2: what lossy compression adds to a flat area
    flat = np.asarray(cv2.morphologyEx(flat, cv2.MORPH_OPEN, np.ones((11, 11), np.uint8)), np.uint8)
    painted = _grown(flat, 2)
    quarters = np.stack([part.mean(axis=1) for part in np.array_split(painted, 4, axis=1)])
    banner = (quarters >= 0.2).sum(axis=0) >= 3  # a banner goes on behind the text on it
    painted[banner] = 1
    return np.asarray(lit & (1 - painted), np.uint8)


def _grown(mask: Mask | Grey, by: int) -> Grey:
    side = 2 * by + 1
    return np.asarray(cv2.dilate(mask.astype(np.uint8, copy=False), np.ones((side, side), np.uint8)), np.uint8)


@dataclass(frozen=True)
class _Drawn:
    mask: Mask
    kind: str
    confidence: float


def _scale(shape: tuple[int, ...]) -> int:
    return 4 if max(shape) >= 600 else 3 if max(shape) >= 400 else 2


def _groups(grey: Grey, lit: Grey) -> list[list[Mask]]:
    """Coarse masks of the pictures, each with the loose parts that may belong to it (largest first)."""
    scale = _scale(grey.shape)
    height, width = grey.shape[0] // scale, grey.shape[1] // scale
    density = cv2.resize(lit[: height * scale, : width * scale] * 255, (width, height), interpolation=cv2.INTER_AREA)
    dense = (cv2.blur(density, (3, 3)) > 127).astype(np.uint8)
    radius = max(3, round(0.016 * height))  # a text line is under 3 % of the height
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    opened = cv2.morphologyEx(dense, cv2.MORPH_OPEN, disk)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(opened)
    sample = grey[: height * scale : scale, : width * scale : scale]
    parts = [
        (stats[label], np.asarray(labels == label))
        for label in sorted(range(1, count), key=lambda label: -int(stats[label][cv2.CC_STAT_AREA]))
        if stats[label][cv2.CC_STAT_AREA] >= LEAST_SHARE * height * width
        and _entropy(sample[labels == label]) >= LEAST_ENTROPY
    ]
    if not parts:
        return []
    largest = parts[0][0]
    twins = [mask for stat, mask in parts[1:] if _is_twin(stat, largest)]
    if twins:
        return [[parts[0][1]], [twins[0]]]
    return [[mask for _, mask in parts]]


def _entropy(values: Grey) -> float:
    share = np.bincount(values, minlength=256) / max(1, values.size)
    share = share[share > 0]
    return float(-(share * np.log2(share)).sum())


def _is_twin(stat: npt.NDArray[np.int32], largest: npt.NDArray[np.int32]) -> bool:
    """Whether a component stands beside the largest as the other half of a dual view does."""
    x, y, w, h, area = (int(value) for value in stat)
    lx, ly, lw, lh, largest_area = (int(value) for value in largest)
    is_beside = x >= lx + 0.9 * lw or lx >= x + 0.9 * w
    overlap = min(y + h, ly + lh) - max(y, ly)
    return is_beside and area >= 0.3 * largest_area and overlap >= 0.5 * max(h, lh)


def _drawn(grey: Grey, lit: Grey, parts: list[Mask]) -> _Drawn:
    """The shape around the first part, and around the further parts that it explains as well."""
    best = _fit(grey, lit, parts[0])
    picture = parts[0]
    for part in parts[1:]:
        joint = _fit(grey, lit, picture | part)
        if joint.kind != "free" and joint.confidence >= best.confidence - 0.05:
            best, picture = joint, picture | part
    return best


def _fit(grey: Grey, lit: Grey, coarse: Mask) -> _Drawn:
    rows, columns = lit.shape
    dense = cv2.blur(lit * 255, (5, 5)) > 127
    near = _grown(coarse, 1)
    picture = dense & _enlarged(near, rows, columns)
    hull = _hull(picture)
    weights = np.full((rows, columns), DARK, np.float32)
    weights[dense & (_grown(grey, 3) >= PAINT)] = FURNITURE
    weights[hull | (dense & _enlarged(_grown(coarse, 4), rows, columns))] = UNKNOWN
    weights[picture] = PICTURE
    shape = fitted(weights, _first_guess(hull), coarse=2 * _scale(lit.shape))
    mask = shape.mask(rows, columns)
    lost = float((hull & ~mask).sum() / max(1, hull.sum()))
    dark = float((mask & ~hull).sum() / max(1, mask.sum()))
    if lost > MOST_LOST or dark > MOST_DARK:
        return _Drawn(hull, "free", float(picture.sum() / max(1, hull.sum())))
    return _Drawn(mask & ~_marked(grey, lit, mask, hull), shape.kind, 1.0 - lost - dark / 3.0)


def _marked(grey: Grey, lit: Grey, mask: Mask, hull: Mask) -> Mask:
    """The dark part of a shape beyond the picture's hull, if anything is written there; else nothing.

    A shape goes on into the dark because a transducer's does. That is only true where it is dark: one mark there and
    the shape ends at the picture.
    """
    beyond = mask & (_grown(hull, 2) == 0)
    _, labels, stats, _ = cv2.connectedComponentsWithStats((beyond & (grey >= BRIGHT)).astype(np.uint8))
    sizes = stats[1:, cv2.CC_STAT_AREA]
    if not (sizes >= LEAST_MARK).any():
        return np.zeros_like(mask)
    crowd = np.bincount(labels.ravel(), weights=cv2.blur(lit * 255, (15, 15)).ravel())[1:] / sizes
    is_mark = (sizes >= LEAST_MARK) & (crowd < LONELY * 255)
    return beyond if is_mark.any() else np.zeros_like(mask)


def _solid(mask: Mask) -> Mask:
    """The largest connected part; what a fit leaves over beside it are crumbs."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    if len(stats) < 2:
        return mask
    return np.asarray(labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax()), np.bool_)


def _enlarged(mask: Grey, rows: int, columns: int) -> Mask:
    scale = _scale((rows, columns))
    large = np.repeat(np.repeat(mask, scale, axis=0), scale, axis=1)
    missing = ((0, rows - large.shape[0]), (0, columns - large.shape[1]))
    return np.asarray(np.pad(large, missing, mode="edge") > 0)


def _hull(mask: Mask) -> Mask:
    """Fill between the outermost pixels of every row and of every column: closes dark organs, keeps concave arcs."""
    between = np.ones_like(mask)
    for axis in (0, 1):
        forward = np.maximum.accumulate(mask, axis=axis)
        backward = np.flip(np.maximum.accumulate(np.flip(mask, axis), axis=axis), axis)
        between &= (forward & backward) | ~mask.any(axis=axis, keepdims=True)  # a dark band says nothing
    box = box_of(mask)
    if box is not None:
        x0, y0, x1, y1 = box
        between[:y0] = between[y1:] = between[:, :x0] = between[:, x1:] = False
    return np.asarray(between | mask)


def _first_guess(hull: Mask) -> Shape:
    rows, columns = hull.shape
    ys = np.flatnonzero(hull.any(axis=1))
    top, bottom = float(ys[0]), float(ys[-1] + 1)
    left = hull[ys].argmax(axis=1).astype(np.float64)
    right = columns - hull[ys][:, ::-1].argmax(axis=1).astype(np.float64)
    cut = _cut(left, right, rows=rows, columns=columns)
    (a, da), (b, db) = _line(ys, left, int(left.argmin())), _line(ys, right, int(right.argmax()))
    sides = (a + da * top, b + db * top, a + da * bottom, b + db * bottom)
    return Shape(sides=sides, at=(top, bottom), near=top, far=bottom, drop=0.0, style=STYLES[0], cut=cut)


def _line(ys: npt.NDArray[np.intp], xs: npt.NDArray[np.float64], widest: int) -> tuple[float, float]:
    """Intercept and slope of x over y from the top row to the widest, where the side of a sector is straight."""
    n = max(widest, len(ys) // 4, 2)
    a, b = n // 6, max(n - n // 6 - 1, n // 6 + 1)
    slope = (xs[b] - xs[a]) / (ys[b] - ys[a])
    return float(np.median(xs[a : b + 1] - slope * ys[a : b + 1])), float(slope)


def _cut(
    left: npt.NDArray[np.float64], right: npt.NDArray[np.float64], *, rows: int, columns: int
) -> tuple[float, float, float, float]:
    """The screen window: a side with a straight upright run along it ends there, otherwise the frame does."""
    run = 0.1 * len(left)
    x0 = left.min() if (left <= left.min() + 2).sum() >= run else 0.0
    x1 = right.max() if (right >= right.max() - 2).sum() >= run else float(columns)
    return float(x0), 0.0, float(x1), float(rows)
