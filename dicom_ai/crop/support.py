"""Grey pixels to the shape of the ultrasound picture in them: the witness that never reads the regions.

A picture is a large area densely filled with changing grey; text, bars, ticks, logos and body marks are thin, or
flat, or small. Density, opening and the largest component find it; a shape that a transducer can give is fitted to
it, so that a dark half or an anechoic organ does not bite into it. What this is not: a search for text on tissue.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from dicom_ai.crop.evidence import PAINT, Evidence, Grey, evidence_of, grown
from dicom_ai.crop.fit import LEAST_POINTS, Asked, Light, moved, seen_along, upright, windowed
from dicom_ai.crop.polygon import box_of, polygons_of
from dicom_ai.crop.shape import CURVED, LEANING, VIRTUAL, Floats, Shape
from dicom_ai.kept import Mask, Polygon

LEAST_SHARE, LEAST_PART = 0.01, 0.002
"""Of the frame: a picture smaller than this is a probe in the air or a mark; a loose part of one a crumb."""

LEAST_ENTROPY = 2.5
"""Bits over 256 grey levels inside the picture: speckle has 5 and more, very faint speckle 2.8; a page of text 1.8."""

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

UNSEEN = 0.08
"""Share of the picture's weight that a shape loses when one of its edges is seen nowhere."""

DENSE, SPARSE = 127, 16
"""Share of lit pixels, x 255: over 3 blocks, of tissue; over 7 blocks without a bright pixel, of very faint speckle."""

DARK_INSIDE = 77
"""Light, x 255, of what is dark but lies between picture in its row and its column."""

SHARES = (np.arange(256) / 255).astype(np.float32)

FLOOR = 0.35
"""Of a picture's columns end within a block of its lowest row where the screen window cuts an arc; where none does,
about a sixth."""

NEARBY = 16
"""Pixels to either side of the outline found on blocks in which the exact edge is looked for."""

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
    """

    polygons: tuple[Polygon, ...]
    kind: str
    confidence: float
    edges: tuple[tuple[Asked, ...], ...] = ()
    lopsided: float = 0.0
    light: Light | None = field(default=None, repr=False, compare=False)

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
    if min(grey.shape) < 64:
        return None
    seen = evidence_of(grey)
    dense = _dense(seen)
    found = [_drawn(grey, seen, dense, group) for group in _groups(grey, seen, dense)]
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
    )


@dataclass(frozen=True)
class _Drawn:
    polygon: Polygon
    kind: str
    confidence: float
    edges: tuple[tuple[Asked, ...], ...] = ()
    lopsided: float = 0.0
    light: Light | None = None


def _dense(seen: Evidence) -> Grey:
    """Blocks full of light, 0/1: of tissue, or of speckle so faint that no pixel near is bright."""
    bright = grown(seen.peak >= PAINT, 4)
    some = cv2.blur(seen.lit, (3, 3))
    faint = (cv2.blur(seen.lit, (7, 7)) > SPARSE) & (some > 0) & (bright == 0)
    dense = (cv2.blur(seen.sure, (3, 3)) > DENSE) | (some > DENSE) | faint
    return np.asarray(dense & (grown(seen.painted, 1) == 0), np.uint8)


def _groups(grey: Grey, seen: Evidence, dense: Grey) -> list[list[Mask]]:
    """Masks of the pictures, each with the loose parts that may belong to it (largest first)."""
    height, width = dense.shape
    radius = max(3, round(0.016 * height))  # a text line is under 3 % of the height
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    opened = cv2.morphologyEx(
        cv2.copyMakeBorder(dense, radius, radius, radius, radius, cv2.BORDER_CONSTANT), cv2.MORPH_OPEN, disk
    )
    opened = np.ascontiguousarray(opened[radius:-radius, radius:-radius])  # the frame's edge is dark
    count, labels, stats, _ = cv2.connectedComponentsWithStats(opened)
    sample = grey[: height * seen.scale : seen.scale, : width * seen.scale : seen.scale]
    parts = [
        (stats[label], np.asarray(labels == label))
        for label in sorted(range(1, count), key=lambda label: -int(stats[label][cv2.CC_STAT_AREA]))
        if stats[label][cv2.CC_STAT_AREA] >= LEAST_PART * height * width and _is_speckled(sample[labels == label])
    ]
    if not parts or parts[0][0][cv2.CC_STAT_AREA] < LEAST_SHARE * height * width:
        return []
    largest = parts[0][0]
    twins = [mask for stat, mask in parts[1:] if _is_twin(stat, largest)]
    if twins:
        return [[parts[0][1]], [twins[0]]]
    return [[mask for _, mask in parts]]


def _is_speckled(values: Grey) -> bool:
    """Whether grey levels are those of a picture: many of them, or all of them faint."""
    share = np.bincount(values, minlength=256) / max(1, values.size)
    share = share[share > 0]
    entropy = float(-(share * np.log2(share)).sum())
    return entropy >= LEAST_ENTROPY or (entropy >= LEAST_ENTROPY / 2 and int(np.percentile(values, 98)) < PAINT // 4)


def _is_twin(stat: npt.NDArray[np.int32], largest: npt.NDArray[np.int32]) -> bool:
    """Whether a component stands beside the largest as the other half of a dual view does."""
    x, y, w, h, area = (int(value) for value in stat)
    lx, ly, lw, lh, largest_area = (int(value) for value in largest)
    is_beside = x >= lx + 0.9 * lw or lx >= x + 0.9 * w
    overlap = min(y + h, ly + lh) - max(y, ly)
    return is_beside and area >= 0.3 * largest_area and overlap >= 0.5 * max(h, lh)


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
    hull = _hull(picture)
    weights = np.full((rows, columns), DARK, np.float32)
    weights[(cv2.blur(seen.sure, (3, 3)) > DENSE // 2) & (grown(seen.peak, 1) >= PAINT)] = FURNITURE
    weights[hull | ((dense & grown(coarse, 6)) > 0)] = UNKNOWN
    weights[picture] = PICTURE
    shape = _best(weights, picture, hull)
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
    bright = (beyond & (seen.peak >= BRIGHT)).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(bright)
    sizes = stats[1:, cv2.CC_STAT_AREA]
    crowd = np.bincount(labels.ravel(), weights=cv2.blur(seen.sure, (5, 5)).ravel())[1:] / np.maximum(sizes, 1)
    return bool(((sizes >= LEAST_MARK) & (crowd < LONELY * 255)).any())


def _best(weights: npt.NDArray[np.float32], picture: Mask, hull: Mask) -> Shape:
    """The shape with the least weight inside, each style moved onto the picture first."""
    plane = picture.view(np.uint8) * np.uint8(255)
    plane[hull & ~picture] = DARK_INSIDE
    light = Light(plane, SHARES, least=0.3, floor=1.0)
    sums = np.zeros((weights.shape[0], weights.shape[1] + 1), np.float64)
    np.cumsum(weights, axis=1, out=sums[:, 1:])
    gain = float(picture.sum())
    best, least = None, np.inf
    for guess in _guesses(picture, hull):
        shape = moved(guess, light, reach=12, rounds=4)
        unseen = 1.0 - min((_share_seen(edge) for edge in seen_along(shape, light, reach=6)), default=1.0)
        cost = shape.weight(sums) + (shape.style.must_win + UNSEEN * unseen) * gain
        if best is None or cost < least:
            best, least = shape, cost
    assert best is not None  # noqa: S101 - there are always guesses
    return best


def _share_seen(edge: tuple[Asked, ...]) -> float:
    return sum(point.is_seen for point in edge) / len(edge) if len(edge) >= LEAST_POINTS else 1.0


def _light(grey: Grey, seen: Evidence, shape: Shape) -> Light:
    """How bright the full-frame pixels are, against what is usual inside the shape."""
    height, width = seen.lit.shape
    middle = seen.scale // 2
    inside = grey[middle : height * seen.scale : seen.scale, middle : width * seen.scale : seen.scale]
    values = inside[shape.mask(height, width)]
    full = float(np.clip(np.median(values) - seen.black, 6, BRIGHTEST)) if values.size else BRIGHTEST
    table = np.clip((np.arange(256) - seen.black) / full, 0, 1).astype(np.float32)
    floor = min(1.0, (seen.level + 1 - seen.black) / full)
    plane = np.asarray(cv2.blur(grey, (3, 3)), np.uint8)
    if seen.painted.any():  # what is painted beside a picture is not its light
        plane[: height * seen.scale, : width * seen.scale] &= np.kron(
            1 - seen.painted, np.full((seen.scale,) * 2, 255, np.uint8)
        )
    return Light(plane, table, least=0.4, floor=floor)


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


def _guesses(picture: Mask, hull: Mask) -> list[Shape]:
    """First guesses, one for every style, from the outermost pixels of the rows."""
    rows, columns = hull.shape
    outline = np.zeros(hull.shape, np.uint8)
    points = np.argwhere(picture)[:, ::-1].astype(np.int32)
    cv2.fillConvexPoly(outline, cv2.convexHull(points), 1)
    ys = np.flatnonzero(outline.any(axis=1))
    top, bottom = float(ys[0]), float(ys[-1] + 1)
    left = outline[ys].argmax(axis=1).astype(np.float64)
    right = columns - outline[ys][:, ::-1].argmax(axis=1).astype(np.float64)
    (a, da), (b, db) = _line(ys, left, int(left.argmin())), _line(ys, right, int(right.argmax()))
    sides = (a + da * top, b + db * top, a + da * bottom, b + db * bottom)
    cut = _cut(left, right, rows=rows, columns=columns)
    low = rows - picture[::-1].argmax(axis=0)[picture.any(axis=0)]
    floor = int(np.bincount(low).argmax())
    if (np.abs(low - floor) <= 1).sum() >= FLOOR * len(low) and (low > floor + 1).sum() <= 0.1 * len(low):
        cut = (*cut[:3], float(floor))
    plain = Shape(sides=sides, at=(top, bottom), near=top, far=bottom, drop=0.0, style=LEANING, cut=cut)
    boxed = upright(plain)
    whole = (0.0, 0.0, float(columns), float(rows))
    guesses = [
        replace(boxed, sides=(left.min(), right.max()) * 2, cut=whole),
        replace(plain, cut=(cut[0], 0.0, cut[2], float(rows))),
    ]
    if db - da > 0.1:
        guesses += _arcs(plain, picture)
    return guesses


def _arcs(plain: Shape, picture: Mask) -> list[Shape]:
    """The sectors between two sides: curved, and with a flat top."""
    (x, y), slopes = plain.apex, plain.slopes
    ys, xs = np.nonzero(picture)
    distance = np.hypot(xs + 0.5 - x, ys + 0.5 - y)
    turn = np.arctan2(xs + 0.5 - x, ys + 0.5 - y)
    middle, half = (np.arctan(slopes[0]) + np.arctan(slopes[1])) / 2, (np.arctan(slopes[1]) - np.arctan(slopes[0])) / 2
    central = np.abs(turn - middle) < 0.6 * half
    if central.sum() < 32:
        return []
    near, far = float(np.percentile(distance[central], 0.5)), float(np.percentile(distance, 99.7))
    sector = replace(plain, near=y + near, far=y + far, style=CURVED)
    return [sector, replace(plain, far=y + far, style=VIRTUAL)]


def _line(ys: npt.NDArray[np.intp], xs: Floats, widest: int) -> tuple[float, float]:
    """Intercept and slope of x over y from the top row to the widest, where the side of a sector is straight."""
    n = max(widest, len(ys) // 4, 2)
    a, b = n // 6, max(n - n // 6 - 1, n // 6 + 1)
    slope = (xs[b] - xs[a]) / (ys[b] - ys[a])
    return float(np.median(xs[a : b + 1] - slope * ys[a : b + 1])), float(slope)


def _cut(left: Floats, right: Floats, *, rows: int, columns: int) -> tuple[float, float, float, float]:
    """The screen window: a side with a straight upright run along it ends there, otherwise the frame does."""
    run = 0.1 * len(left)
    x0 = left.min() if (left <= left.min() + 1).sum() >= run else 0.0
    x1 = right.max() if (right >= right.max() - 1).sum() >= run else float(columns)
    return float(x0), 0.0, float(x1), float(rows)
