"""What a network said of one image: the score of every frame, and on demand where the evidence lies.

What this is not: a finding. `dicom_ai.finding` pools frames into images and studies.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from dicom_ai.finding import FrameScore
from dicom_ai.kept import Kept, Mask
from dicom_ai.mapping import kept_mask
from models.activation_map import to_heat
from models.preprocess import Letterbox


@dataclass(frozen=True)
class Scored:
    """The scores of one image's frames, in the order of `Kept.frames`.

    Attributes:
        frames: one score per analysed frame.
        maps: float32 (T, K, m, m), class activation in logits.
        letterbox: where the crop lay in the network's input.
        shape: bool (h, w), pixels of the crop that may carry heat.
    """

    frames: tuple[FrameScore, ...]
    maps: npt.NDArray[np.float32] = field(repr=False)
    letterbox: Letterbox
    shape: npt.NDArray[np.bool_] = field(repr=False)

    def heat(self, class_index: int) -> npt.NDArray[np.uint8]:
        """Heat of one class on the grid of `Kept.frames`: uint8 (T, h, w), zero outside the kept pixels."""
        heat = to_heat(self.maps[:, class_index], self.letterbox, (self.letterbox.height, self.letterbox.width))
        return heat * self.shape


def heat_shape(kept: Kept) -> Mask:
    """Pixels of the crop that may carry heat, bool (h, w): inside the kept polygons and outside the blanked boxes."""
    return kept_mask(kept.outcome)
