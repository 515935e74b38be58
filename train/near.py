"""Perceptual hash of frames: which clips show nearly the same picture, wherever it comes from.

The signs of the 16 x 16 lowest frequencies (discrete cosine transform of 64 x 64 grey pixels) against their median, as
256 bits; the usual 64 bits say little of ultrasound, where every picture of one probe has the same outline. What this
is not: proof that two pictures differ; one that is cut by 3 % at the rim or shifted by 4 of 256 pixels is not found.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from train.tables import Clip

Grey = npt.NDArray[np.uint8]
Hashes = npt.NDArray[np.uint64]

LOW, SIDE = 16, 64
"""Frequencies along each axis that are kept; pixels of the picture that is transformed."""

NEAR = 40
"""Bits of 256 up to which two frames are near-duplicates. On 1,256 real lung frames: the same frame after JPEG of
quality 40, half the size, a quarter brighter, gamma 1.3 or cut by 1 % at each side differs by at most 40; the nearest
frames of two patients differ by 52, one pair in ten thousand by 66, the median by 122."""


def hashes_of(frames: Grey) -> Hashes:
    """uint8 (F, S, S) -> uint64 (F, 4)."""
    return np.concatenate([_hash(frame) for frame in frames]) if len(frames) else np.empty((0, 4), np.uint64)


def _hash(frame: Grey) -> Hashes:
    small = cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = np.asarray(cv2.dct(small))[:LOW, :LOW].ravel()
    low[0] = 0.0  # the mean grey says nothing
    return np.packbits(low > np.median(low[1:])).view(np.uint64)[np.newaxis]


def bits_apart(hashes: Hashes, clips: Sequence[Clip]) -> npt.NDArray[np.uint16]:
    """The least distance between any two frames of two clips: uint16 (clips, clips), bits.

    Args:
        hashes: of all frames, in the order of the clips' rows.
        clips: at least one frame each, rows ascending.
    """
    firsts = np.array([clip.first for clip in clips], np.intp)
    apart = np.zeros((len(clips), len(clips)), np.uint16)
    for number, clip in enumerate(clips):
        own = hashes[clip.first : clip.first + clip.frames]
        bits = np.bitwise_count(own[:, np.newaxis] ^ hashes[np.newaxis]).sum(axis=2, dtype=np.uint16)
        apart[number] = np.minimum.reduceat(bits.min(axis=0), firsts)
    return apart
