"""A seed to a grey picture of echoes of some kind: backgrounds on which text is written to learn to find it.

Phantoms alone are too much alike. Scanners smooth, sharpen, resize and compress, and tissue holds fasciae, reflexes,
stones, air and cysts; so textures are drawn from their parts here, wilder than any scanner's. What this is not:
anatomy, or a picture to train a classifier of signs with.
"""

import cv2
import numpy as np
import numpy.typing as npt

from dicom_ai.simulate import phantom

Grey = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


def echoes(rng: np.random.Generator, size: tuple[int, int]) -> Grey:
    """Draw one picture.

    Args:
        rng: decides everything.
        size: rows and columns.

    Returns:
        uint8 of that size.
    """
    picture = _phantom(rng, size) if rng.random() < 0.55 else _texture(rng, size)
    if rng.random() < 0.3:  # edge enhancement
        smooth = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.8, 2.0)))
        picture = np.clip(picture + rng.uniform(0.3, 1.5) * (picture - smooth), 0, 255).astype(np.float32)
    if rng.random() < 0.3:  # noise of the receiver or of a frame grabber
        picture += rng.normal(0, rng.uniform(0.5, 6), size).astype(np.float32) * (picture > 3)
    out = np.clip(picture, 0, 255).astype(np.uint8)
    if rng.random() < 0.15:
        step = int(rng.choice([2, 4, 8]))  # few grey levels
        out = (out // step * step).astype(np.uint8)
    return out


def _phantom(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    drawn = ((480, 640), (560, 700), (630, 1000))[int(rng.integers(3))]
    seed = int(rng.integers(1 << 30))
    makers = (
        lambda: phantom.lung(seed, labels=list(rng.choice(sorted(phantom.LUNG_SIGNS), 2, replace=False)), size=drawn),
        lambda: phantom.uterus(seed, label=str(rng.choice(phantom.UTERINE_LABELS)), size=drawn),
        lambda: phantom.wrong_organ(seed, size=drawn),
        lambda: phantom.lung(seed, labels=[], size=drawn),
        lambda: phantom.noise(seed, size=drawn),
        lambda: phantom.wrong_organ(seed, size=drawn, shape="transvaginal"),
        lambda: phantom.noise(seed, size=drawn, shape="transvaginal"),
    )
    frame = makers[int(rng.integers(len(makers)))]().frames[0]
    by = 1.0 if rng.random() < 0.5 else float(rng.uniform(0.6, 2.2))
    return _cut(_rescaled(frame.astype(np.float32), by, rng), size, rng)


def _rescaled(picture: Floats, by: float, rng: np.random.Generator) -> Floats:
    ways = (cv2.INTER_LINEAR, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA, cv2.INTER_NEAREST)
    return np.asarray(cv2.resize(picture, None, fx=by, fy=by, interpolation=ways[int(rng.integers(5))]), np.float32)


def _cut(picture: Floats, size: tuple[int, int], rng: np.random.Generator) -> Floats:
    rows, columns = size
    short = max(0, rows - picture.shape[0]), max(0, columns - picture.shape[1])
    framed = np.pad(picture, ((0, short[0]), (0, short[1])))
    y = int(rng.integers(framed.shape[0] - rows + 1))
    x = int(rng.integers(framed.shape[1] - columns + 1))
    return framed[y : y + rows, x : x + columns].copy()


def _texture(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    by = float(rng.choice([1.0, 1.0, 1.0, rng.uniform(1.2, 3.0), rng.uniform(0.5, 0.9)]))
    inner = int(size[0] / by) + 2, int(size[1] / by) + 2
    level = _clouds(rng, inner) * rng.uniform(0, 30) + rng.uniform(-45, -8)
    for _ in range(int(rng.integers(0, 14))):
        level = np.maximum(level, _curve(rng, inner) * rng.uniform(15, 60) - 60)
    for _ in range(int(rng.integers(0, 12))):
        _blob(rng, level)
    if rng.random() < 0.3:
        _bands(rng, level)
    level += _speckle(rng, inner) * float(rng.uniform(0.3, 1.0))
    shown = np.clip(level / float(rng.uniform(45, 70)) + 1, 0, 1) ** float(rng.uniform(0.7, 1.6)) * 255
    return _cut(_rescaled(shown.astype(np.float32), by, rng), size, rng)


def _clouds(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    few = rng.normal(0, 1, (int(rng.integers(3, 12)), int(rng.integers(3, 12)))).astype(np.float32)
    return np.asarray(cv2.resize(few, size[::-1], interpolation=cv2.INTER_CUBIC), np.float32)


def _speckle(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    """Fully developed speckle in decibels, grains of any size and leaning."""
    across, down = float(rng.uniform(0.6, 6)), float(rng.uniform(0.5, 2.5))
    parts = [cv2.GaussianBlur(rng.normal(0, 1, size).astype(np.float32), (0, 0), across, sigmaY=down) for _ in range(2)]
    power = parts[0] ** 2 + parts[1] ** 2
    power = power / power.mean() + np.float32(1e-3)
    turned = np.asarray(10 * np.log10(power), np.float32)
    if rng.random() < 0.4:
        at = cv2.getRotationMatrix2D((size[1] / 2, size[0] / 2), float(rng.uniform(-60, 60)), 1.5)
        turned = np.asarray(cv2.warpAffine(turned, at, size[::-1], borderMode=cv2.BORDER_REFLECT), np.float32)
    return turned


def _curve(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    """A fascia, vessel wall or reflex: thin, bright, bent, fading along itself; 0..1."""
    rows, columns = size
    x = np.linspace(-20, columns + 20, 40)
    slope, bend = rng.normal(0, 0.25), rng.normal(0, 1)
    y = (
        rng.uniform(0, rows)
        + slope * (x - columns / 2)
        + bend * 12 * np.sin(x / rng.uniform(25, 200) + rng.uniform(0, 6))
    )
    canvas = np.zeros(size, np.uint8)
    points = np.stack([x, y], axis=1)
    if rng.random() < 0.3:  # of a cyst or vessel
        angle = np.linspace(0, rng.uniform(1, 6.28), 60) + rng.uniform(0, 6.28)
        radius = rng.uniform(5, 120) * (1 + 0.2 * np.sin(2 * angle + rng.uniform(0, 6)))
        points = np.stack(
            [rng.uniform(0, columns) + radius * np.cos(angle), rng.uniform(0, rows) + radius * np.sin(angle)], 1
        )
    line = (points * 16).astype(np.int32).reshape(-1, 1, 2)
    cv2.polylines(
        canvas, [line], isClosed=False, color=255, thickness=int(rng.integers(1, 5)), lineType=cv2.LINE_AA, shift=4
    )
    soft = cv2.GaussianBlur(canvas, (0, 0), float(rng.uniform(0.5, 2.0))).astype(np.float32) / 255
    return np.asarray(soft * np.clip(0.6 + 0.5 * _clouds(rng, size), 0, 1), np.float32)


def _blob(rng: np.random.Generator, level: Floats) -> None:
    """A dark or bright patch: cyst, stone, gas, or a reflex of few pixels."""
    rows, columns = level.shape
    small = rng.random() < 0.6
    axes = rng.uniform(1, 8, 2) if small else rng.uniform(8, 120, 2)
    mask = np.zeros(level.shape, np.uint8)
    centre = int(rng.integers(columns)), int(rng.integers(rows))
    cv2.ellipse(
        mask, centre, (int(axes[0]) + 1, int(axes[1]) + 1), float(rng.uniform(0, 180)), 0, 360, 255, -1, cv2.LINE_AA
    )
    soft = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(0.6, 3))).astype(np.float32) / 255
    level += soft * np.float32(rng.uniform(8, 45) if small or rng.random() < 0.3 else rng.uniform(-60, -5))


def _bands(rng: np.random.Generator, level: Floats) -> None:
    """Horizontal or upright repeats: reverberation, A-lines, rays, shadows."""
    rows, columns = level.shape
    if rng.random() < 0.5:
        wave = np.sin(np.arange(rows) * 6.28 / rng.uniform(6, 60) + rng.uniform(0, 6)) ** int(rng.choice([1, 9, 21]))
        level += np.float32(rng.uniform(3, 25)) * wave.astype(np.float32)[:, None]
    else:
        few = rng.normal(0, 1, (1, int(rng.integers(8, 60)))).astype(np.float32)
        level += cv2.resize(few, (columns, 1), interpolation=cv2.INTER_CUBIC) * np.float32(rng.uniform(3, 15))
