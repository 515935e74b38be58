"""Paints a line of text onto frames and says, pixel by pixel, what was painted: the ground truth of a leak.

Each character keeps its own mask, every pixel its coverage touched, however faintly. Legibility is a stated rule, so
that nobody counts what no person could read, and nobody leaves out what a person could. What this is not: a scanner.
"""

from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from dicom_ai.kept import Mask
from dicom_ai.simulate.geometry import Grey
from dicom_ai.simulate.lettering import Face, Family, Letter, foreign_families, is_upright, letters
from dicom_ai.simulate.places import Corner, Ground, Place, corners

LEAST_HEIGHT = 10
"""Rows of the tallest letter of a line from which on it counts as legible."""

LEAST_CONTRAST, LEAST_DEVIATIONS = 25.0, 1.0
"""Grey levels, or local standard deviations, by which a letter stands out from what surrounds it; one suffices."""

Backing = Literal["none", "box", "outline"]
Rgb = tuple[int, int, int]


@dataclass(frozen=True)
class Look:
    """How a text is burned in.

    Attributes:
        face: its letters. height: of a capital, pixels.
        colour: RGB; on grey frames its luminance (Recommendation ITU-R BT.601).
        contrast: grey levels above the mean of what lies under the text (below it where that is bright), instead of
            `colour`; None to use the colour as it is.
        backing: "box" paints black behind the text, "outline" two black pixels around each letter.
    """

    face: Face
    height: int
    colour: Rgb = (255, 255, 255)
    contrast: int | None = None
    backing: Backing = "none"


@dataclass(frozen=True)
class Glyph:
    """One character as painted.

    Attributes:
        character: which.
        coverage: uint8 (h, w), 0 where it touched nothing.
        corners: frame (from 0) to (x, y) of the coverage's first pixel.
        height: rows of the tallest letter of its line, pixels.
        contrast: between its covered pixels and what surrounds it, grey levels of the channel that differs most.
        deviations: the same in standard deviations of the surroundings in that channel.
    """

    character: str
    coverage: Grey = field(repr=False)
    corners: dict[int, Corner] = field(repr=False)
    height: int
    contrast: float
    deviations: float

    @property
    def is_legible(self) -> bool:
        """By the stated rule; punctuation never is: a dot names nobody."""
        stands_out = self.contrast >= LEAST_CONTRAST or self.deviations >= LEAST_DEVIATIONS
        return self.character.isalnum() and self.height >= LEAST_HEIGHT and stands_out

    def pixels(self, frame: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]] | None:
        """Rows and columns it touched in a frame (from 0); None where it does not stand."""
        if frame not in self.corners:
            return None
        (ys, xs), (x, y) = np.nonzero(self.coverage), self.corners[frame]
        return ys + y, xs + x

    def mask(self, frame: int, shape: tuple[int, int]) -> Mask:
        """The same as bool (rows, columns)."""
        out, pixels = np.zeros(shape, np.bool_), self.pixels(frame)
        if pixels is not None:
            out[pixels] = True
        return out


@dataclass(frozen=True)
class Painted:
    """Frames with a text on them.

    Attributes:
        frames: as they came, painted; a new array.
        glyphs: of the text. place, look: as asked.
    """

    frames: Grey = field(repr=False)
    glyphs: tuple[Glyph, ...] = field(repr=False)
    place: Place
    look: Look

    @property
    def is_legible(self) -> bool:
        """Whether any of its characters is."""
        return any(glyph.is_legible for glyph in self.glyphs)


def paint(
    frames: Grey, text: str, place: Place, ground: Ground, look: Look, rng: np.random.Generator
) -> Painted | None:
    """Paint one line of text.

    Args:
        frames: uint8 (T, rows, columns) or (T, rows, columns, 3) RGB; not changed.
        text: one line its face can write.
        place: where it stands; "one frame" paints one frame of a clip, "moving" every frame at another spot.
        ground: the screen's geometry.
        look: how it looks.
        rng: decides where exactly.

    Returns:
        The frames and what was painted, or None when the place has no room.
    """
    line = letters(text, look.face, look.height)
    if not line:
        return None
    ink = _ink(line)
    spots = corners(place, ink > 0, ground, len(frames), rng)
    if spots is None:
        return None
    out, level = frames.copy(), _level(frames, look, ink, spots)
    for frame, corner in spots.items():
        _burn(out[frame], ink, corner, level, look.backing)
    tall = _tallest(line)
    first, (x, y) = next(iter(spots.items()))
    taken = np.zeros(frames.shape[1:3], np.bool_)
    taken[y : y + ink.shape[0], x : x + ink.shape[1]] = ink > 0
    glyphs = []
    for letter in line:
        stands_out = _contrast(out[first], letter, taken, (x + letter.at[0], y + letter.at[1]))
        glyphs.append(_glyph(letter, spots, tall, stands_out))
    return Painted(out, tuple(glyphs), place, look)


def _tallest(line: tuple[Letter, ...]) -> int:
    """Rows of its tallest capital, digit or Chinese letter; of its tallest letter where it has none of them."""
    upright = [letter for letter in line if is_upright(letter.character)]
    return max(len(letter.coverage) for letter in upright or line)


def _ink(line: tuple[Letter, ...]) -> Grey:
    h = max(letter.at[1] + letter.coverage.shape[0] for letter in line)
    w = max(letter.at[0] + letter.coverage.shape[1] for letter in line)
    ink = np.zeros((h, w), np.uint8)
    for letter in line:
        (x, y), (high, wide) = letter.at, letter.coverage.shape
        part = ink[y : y + high, x : x + wide]
        np.maximum(part, letter.coverage, out=part)
    return ink


def _glyph(letter: Letter, spots: dict[int, Corner], tall: int, stands_out: tuple[float, float]) -> Glyph:
    places = {frame: (x + letter.at[0], y + letter.at[1]) for frame, (x, y) in spots.items()}
    return Glyph(letter.character, letter.coverage, places, tall, *stands_out)


def _level(frames: Grey, look: Look, ink: Grey, spots: dict[int, Corner]) -> npt.NDArray[np.float32]:
    """What a covered pixel becomes, one value or three."""
    channels = 3 if frames.ndim == 4 else 1
    if look.contrast is not None:
        frame, (x, y) = next(iter(spots.items()))
        under = (
            0.0 if look.backing == "box" else float(frames[frame][y : y + ink.shape[0], x : x + ink.shape[1]].mean())
        )
        level = under + look.contrast if under + look.contrast <= 255 else under - look.contrast
        return np.full(channels, level, np.float32)
    if channels == 3:
        return np.array(look.colour, np.float32)
    return np.array([0.299 * look.colour[0] + 0.587 * look.colour[1] + 0.114 * look.colour[2]], np.float32)


def _burn(frame: Grey, ink: Grey, corner: Corner, level: npt.NDArray[np.float32], backing: Backing) -> None:
    """Paint in place."""
    (x, y), (h, w) = corner, ink.shape
    if backing == "box":
        frame[max(0, y - 2) : y + h + 2, max(0, x - 3) : x + w + 3] = 0
    elif backing == "outline":
        around = cv2.dilate(np.pad(ink, 2), np.ones((5, 5), np.uint8)) > 127
        top, left = max(0, 2 - y), max(0, 2 - x)
        part = frame[max(0, y - 2) : y + h + 2, max(0, x - 2) : x + w + 2]
        part[around[top : top + part.shape[0], left : left + part.shape[1]]] = 0
    part = frame[y : y + h, x : x + w]
    alpha = ink.astype(np.float32) / np.float32(255)
    if frame.ndim == 2:
        part[:] = np.rint(part + alpha * (level[0] - part)).astype(np.uint8)
    else:
        part[:] = np.rint(part + alpha[..., None] * (level - part)).astype(np.uint8)


def _contrast(frame: Grey, letter: Letter, taken: Mask, at: Corner) -> tuple[float, float]:
    """How far a letter stands out from the unpainted pixels around it: grey levels, standard deviations."""
    (x, y), (h, w) = at, letter.coverage.shape
    reach = max(3, h // 3)
    near = slice(max(0, y - reach), y + h + reach), slice(max(0, x - reach), x + w + reach)
    around = np.atleast_3d(frame[near])[~taken[near]].astype(np.float32)
    solid = letter.coverage >= max(1, int(letter.coverage.max()) // 2)
    inside = np.atleast_3d(frame[y : y + h, x : x + w])[solid].astype(np.float32)
    if not around.size:
        return 255.0, 255.0
    difference = np.abs(inside.mean(axis=0) - around.mean(axis=0))
    most = int(difference.argmax())
    deviation = max(1.0, float(around[:, most].std()))
    return float(difference[most]), float(difference[most]) / deviation


def random_look(rng: np.random.Generator, *, chinese: bool, heights: tuple[int, int] = (8, 40)) -> Look:
    """A look as scanners and their users have it.

    Args:
        rng: decides.
        chinese: only a face with Chinese letters.
        heights: least and most rows of a capital; small ones come more often.
    """
    known: tuple[Family, ...] = ("sans", "sans", "italic", "uni", "pillow", "bitmap", *foreign_families())
    family: Family = "uni" if chinese else known[int(rng.integers(len(known)))]
    face = Face(family, int(rng.choice([300, 400, 500, 700])), bool(rng.random() < 0.75))
    height = round(heights[0] * (heights[1] / heights[0]) ** float(rng.beta(1, 1.6)))
    grey = int(rng.integers(120, 236))
    colour = COLOURS[int(rng.integers(len(COLOURS)))] or (grey, grey, grey)
    contrast = int(rng.integers(10, 90)) if rng.random() < 0.3 else None
    backing: tuple[Backing, ...] = ("none", "none", "none", "box", "outline")
    return Look(face, height, colour, contrast, backing[int(rng.integers(len(backing)))])


COLOURS: tuple[Rgb | None, ...] = (
    (255, 255, 255), (255, 255, 255), None, None, (255, 255, 0), (0, 255, 255), (255, 242, 140), (120, 220, 120),
)  # fmt: skip
"""White, any grey (None), yellow, cyan, pale yellow, pale green."""
