"""Letters on clean ultrasound grounds, with height, contrast and place set: what a reader of text is measured on."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

import numpy as np
import numpy.typing as npt

from dicom_ai.simulate import phantom
from dicom_ai.simulate.inscriptions import inscription
from dicom_ai.simulate.lettering import Face, Family, letters

Grey = npt.NDArray[np.uint8]

SIDE = 256
FAMILIES: tuple[Family, ...] = ("sans", "uni", "pillow", "bitmap")  # every one writes all of ASCII
MARGIN = 6
MOST_TRIES = 100_000


@dataclass(frozen=True)
class Written:
    """A window with one line of text. `box` is half open; `deviation` that of the ground under it, grey levels."""

    picture: Grey = field(repr=False)
    text: str = field(repr=False)
    box: tuple[int, int, int, int]
    deviation: float


def clean(seed: int, size: tuple[int, int] = (560, 700)) -> Grey:
    """A drawn lung or uterus without any text, uint8 (rows, columns)."""
    if seed % 2:
        return phantom.uterus(seed, label=phantom.UTERINE_LABELS[seed // 2 % 3], size=size).frames[0]
    signs = sorted(phantom.LUNG_SIGNS)
    return phantom.lung(seed, labels=signs[seed // 2 % 5 : seed // 2 % 5 + 1], size=size).frames[0]


def windows(rng: np.random.Generator, grounds: list[Grey], *, dark: bool) -> Iterator[Grey]:
    """Parts of the grounds that are filled with echoes, as drawn or nearly black."""
    for tries in count():
        ground = grounds[int(rng.integers(len(grounds)))]
        y, x = (int(rng.integers(length - SIDE)) for length in ground.shape)
        part = ground[y : y + SIDE, x : x + SIDE]
        if tries > MOST_TRIES:
            raise ValueError("these grounds have no window full of echoes")
        if (part > 8).mean() > 0.9:
            yield (part * 0.12 + 2).astype(np.uint8) if dark else part.copy()


def written(rng: np.random.Generator, window: Grey, height: int, contrast: int, *, chinese: bool) -> Written:
    """Write a short name, ID or date somewhere into a window, so many grey levels above the mean under it."""
    while True:
        text = inscription(rng, chinese=chinese, short=True).text
        face = Face(
            "uni" if chinese else FAMILIES[int(rng.integers(4))], int(rng.choice([400, 600])), rng.random() < 0.75
        )
        line = letters(text, face, height)
        wide = max(letter.at[0] + letter.coverage.shape[1] for letter in line)
        high = max(letter.at[1] + letter.coverage.shape[0] for letter in line)
        if wide <= SIDE - 2 * MARGIN:
            break
    x, y = (int(rng.integers(MARGIN, SIDE - MARGIN - length + 1)) for length in (wide, high))
    under = window[y : y + high, x : x + wide]
    level = under.mean() + contrast if under.mean() + contrast <= 255 else under.mean() - contrast
    out = window.astype(np.float32)
    for letter in line:
        (dx, dy), (h, w) = letter.at, letter.coverage.shape
        part = out[y + dy : y + dy + h, x + dx : x + dx + w]
        part += letter.coverage / np.float32(255) * (level - part)
    return Written(np.rint(out).astype(np.uint8), text, (x, y, x + wide, y + high), float(under.std()))


def is_at(box: tuple[int, int, int, int], target: tuple[int, int, int, int]) -> bool:
    """Whether two half-open boxes share more than a seam."""
    wide = min(box[2], target[2]) - max(box[0], target[0])
    high = min(box[3], target[3]) - max(box[1], target[1])
    return wide >= 4 and high >= 3
