"""A seed to one mark as scanners draw them on a picture: what the text check must learn to tell from letters.

Calipers, dotted lines and ellipses, ticks, pointers of the focus, guides and edges of boxes, rings. What this is not:
text; a mark names nobody.
"""

import cv2
import numpy as np
import numpy.typing as npt

Grey = npt.NDArray[np.uint8]
Spot = tuple[int, int]


def mark(rng: np.random.Generator, size: tuple[int, ...]) -> Grey:
    """Draw one.

    Args:
        rng: decides everything.
        size: of the picture it is for.

    Returns:
        Coverage, uint8 of that size.
    """
    ink = np.zeros(size, np.uint8)
    at = int(rng.integers(12, size[1] - 12)), int(rng.integers(12, size[0] - 12))
    kinds = (_caliper, _dotted, _ticks, _pointer, _line, _ring, _ellipse)
    kinds[int(rng.integers(len(kinds)))](ink, at, rng)
    return ink


def _caliper(ink: Grey, at: Spot, rng: np.random.Generator) -> None:
    form = int(rng.choice([cv2.MARKER_CROSS, cv2.MARKER_TILTED_CROSS]))
    cv2.drawMarker(ink, at, (255,), form, 2 * int(rng.integers(3, 11)), int(rng.choice([1, 1, 2])))
    if rng.random() < 0.3:
        ink[at[1] - 1 : at[1] + 2, at[0] - 1 : at[0] + 2] = 0  # open in the middle


def _dotted(ink: Grey, at: Spot, rng: np.random.Generator) -> None:
    """Between two calipers, or a guide."""
    end = np.clip(np.array(at) + rng.integers(-200, 200, 2), 0, [ink.shape[1] - 1, ink.shape[0] - 1])
    steps = max(2, int(np.hypot(*(end - at)) / int(rng.choice([4, 6, 8, 12]))))
    radius = int(rng.choice([0, 0, 1]))
    for part in np.linspace(0, 1, steps):
        x, y = (np.array(at) + part * (end - at)).astype(int)
        cv2.circle(ink, (int(x), int(y)), radius, (255,), -1)


def _ticks(ink: Grey, at: Spot, rng: np.random.Generator) -> None:
    for y in range(at[1], min(ink.shape[0], at[1] + 300), int(rng.integers(12, 60))):
        cv2.line(ink, (at[0], y), (at[0] + int(rng.choice([3, 3, 6])), y), (255,), 1)


def _pointer(ink: Grey, at: Spot, rng: np.random.Generator) -> None:
    (x, y), arm, tip = at, int(rng.integers(3, 11)), int(rng.choice([-1, 1]))
    corners = np.array([(x, y - arm), (x, y + arm), (x + tip * arm, y)], np.int32)
    if rng.random() < 0.6:
        cv2.fillPoly(ink, [corners], (255,), _smooth(rng))
    else:
        cv2.polylines(ink, [corners], isClosed=True, color=(255,), thickness=1)


def _line(ink: Grey, at: Spot, rng: np.random.Generator) -> None:
    """A guide, the edge of a box, a row of a scale."""
    angle, long = float(rng.uniform(0, 3.14)), float(rng.uniform(20, 300))
    if rng.random() < 0.4:
        angle = float(rng.choice([0, 1.57]))
    end = int(at[0] + long * np.cos(angle)), int(at[1] + long * np.sin(angle))
    cv2.line(ink, at, end, (255,), int(rng.choice([1, 1, 2])), _smooth(rng))


def _ring(ink: Grey, at: Spot, rng: np.random.Generator) -> None:
    cv2.circle(ink, at, int(rng.integers(3, 11)), (255,), int(rng.choice([1, 2, -1])), _smooth(rng))


def _ellipse(ink: Grey, at: Spot, rng: np.random.Generator) -> None:
    """A measured outline, dotted."""
    axes = rng.uniform(10, 80, 2)
    turn = np.arange(0, 6.28, 6 / float(axes.max()))
    ys = np.clip(at[1] + axes[1] * np.sin(turn), 0, ink.shape[0] - 1).astype(int)
    xs = np.clip(at[0] + axes[0] * np.cos(turn), 0, ink.shape[1] - 1).astype(int)
    ink[ys, xs] = 255


def _smooth(rng: np.random.Generator) -> int:
    return int(cv2.LINE_AA if rng.random() < 0.5 else cv2.LINE_8)
