"""How heat is drawn: its colours, and over the picture or beside it.

The names are those of the settings (`report.colour_map`, `report.rendering`). They are part of the analysis key and of
a capture's own name, so another rendering is another object under another UID. What this is not: drawing (`overlay`).
"""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

ColourMap = Literal["perceptual", "red_is_highest"]
Layout = Literal["overlay", "side_by_side"]
Colours = npt.NDArray[np.uint8]

_JET_CORE = ((0, 0, 255), (0, 255, 255), (255, 255, 0), (255, 0, 0))


@dataclass(frozen=True)
class Rendering:
    """How the captures of a site are drawn.

    Attributes:
        colours: "perceptual" or "red_is_highest", see `colours`.
        layout: "overlay": heat on the cropped frame, in the size of the source. "side_by_side": the same picture
            without heat to its left, so twice the columns. Both halves keep every pixel of the source at its row and
            column (the heated one shifted by the source's columns): scaled into one frame they would be read at
            less than half their resolution, and thin lines are what is read. A picture without heat stands alone.
    """

    colours: ColourMap = "perceptual"
    layout: Layout = "overlay"

    @property
    def name(self) -> str:
        """What names are made from."""
        return f"{self.colours}/{self.layout}"

    def is_beside(self, class_id: str | None) -> bool:
        """Whether the picture of a class's heat (None: of no heat) has the same without heat to its left."""
        return self.layout == "side_by_side" and class_id is not None


DEFAULT = Rendering()


def colours(colour_map: ColourMap = "perceptual") -> Colours:
    """A colour map as RGB, uint8 (256, 3), no heat first.

    "perceptual" is plasma: its lightness rises with the heat, so a stronger place never looks weaker, and all its
    colours are saturated, so heat is never mistaken for a bright echo (as the white end of hot or inferno can be).
    "red_is_highest" is the blue, cyan, yellow, red of the papers: jet without its dark ends, so that the strongest
    heat is pure red and not darker than what is weaker. Its lightness goes up and down: yellow looks strongest.
    """
    ramp = np.arange(256, dtype=np.uint8)
    if colour_map == "perceptual":
        bgr = cv2.applyColorMap(ramp[:, None], cv2.COLORMAP_PLASMA)[:, 0, :]
        return np.ascontiguousarray(bgr[:, ::-1])
    anchors = np.linspace(0, 255, len(_JET_CORE))
    return np.stack([np.rint(np.interp(ramp, anchors, c)) for c in np.transpose(_JET_CORE)], axis=1).astype(np.uint8)
