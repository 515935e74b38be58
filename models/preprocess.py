"""Kept pixels -> what the network is shown, exactly as the card says; and back again.

Grey -> grey table -> letterbox -> [0, 1] -> mean and std. Training and serving share this code, so they cannot
drift apart. Pure: no disk, no clock, no chance.

What this is not: augmentation (`train.phantoms`) or cropping (`dicom_ai.crop`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch

from models.card import Input

Grey = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Letterbox:
    """Where an h x w picture lies in the size x size input: scaled evenly, centred, the rest filled.

    Attributes:
        height, width: of the picture, pixels.
        size: edge of the square input, pixels.
        inner_height, inner_width: of the scaled picture inside the input.
        top, left: of the scaled picture inside the input.
    """

    height: int
    width: int
    size: int
    inner_height: int
    inner_width: int
    top: int
    left: int

    @classmethod
    def fit(cls, height: int, width: int, size: int) -> "Letterbox":
        """The largest centred placement that keeps the aspect (to within half a pixel of rounding).

        Raises:
            ValueError: a length is not positive.

        Examples:
            >>> Letterbox.fit(480, 640, 160)
            Letterbox(height=480, width=640, size=160, inner_height=120, inner_width=160, top=20, left=0)
        """
        if min(height, width, size) < 1:
            raise ValueError(f"cannot fit {height} x {width} into {size}")
        scale = size / max(height, width)
        inner_height, inner_width = (max(1, round(length * scale)) for length in (height, width))
        return cls(
            height, width, size, inner_height, inner_width, (size - inner_height) // 2, (size - inner_width) // 2
        )

    @property
    def scale(self) -> tuple[float, float]:
        """Input pixels per picture pixel along x and y; they differ by rounding only."""
        return self.inner_width / self.width, self.inner_height / self.height

    def to_input(self, points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        """Points (x, y) of the picture in input pixels; pixel (r, c) is the square [c, c+1] x [r, r+1]."""
        # multiplied before divided: the far edge of the picture lands exactly on the far edge of its place
        w, h = self.inner_width, self.inner_height
        return [(x * w / self.width + self.left, y * h / self.height + self.top) for x, y in points]

    def to_picture(self, points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        """The inverse of `to_input`."""
        w, h = self.inner_width, self.inner_height
        return [((x - self.left) * self.width / w, (y - self.top) * self.height / h) for x, y in points]

    def place(self, picture: Grey, fill: int) -> Grey:
        """The letterboxed picture: uint8 (h, w) -> (size, size)."""
        square = np.full((self.size, self.size), fill, np.uint8)
        inner = cv2.resize(picture, (self.inner_width, self.inner_height), interpolation=cv2.INTER_AREA)
        square[self.top : self.top + self.inner_height, self.left : self.left + self.inner_width] = inner
        return square

    def map_to_picture(self, cells: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """A map over the whole input, (m, m), sampled bilinearly at every pixel centre of the picture, (h, w).

        Cell (i, j) stands for its square of the input; its value belongs to the square's centre.
        """
        rows, columns = cells.shape
        sx, sy = self.scale
        ax, ay = sx * columns / self.size, sy * rows / self.size
        # cell coordinate of pixel centre c: ((c + .5) * sx + left) * columns / size - .5
        affine = np.array(
            [
                [ax, 0.0, 0.5 * ax + self.left * columns / self.size - 0.5],
                [0.0, ay, 0.5 * ay + self.top * rows / self.size - 0.5],
            ]
        )
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        warped = cv2.warpAffine(
            cells.astype(np.float32), affine, (self.width, self.height), flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(warped, np.float32)


def to_grey(frames: npt.NDArray[np.uint8]) -> Grey:
    """Luminance (ITU-R BT.601) of frames (T, h, w, C), C 1 or 3 (RGB): uint8 (T, h, w).

    Raises:
        ValueError: another number of channels.
    """
    if frames.ndim != 4 or frames.shape[-1] not in (1, 3):
        raise ValueError(f"frames must be (T, h, w, 1 or 3), not {frames.shape}")
    if frames.shape[-1] == 1:
        return frames[..., 0]
    return np.stack([cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY) for frame in frames])


def letterboxed(frames: npt.NDArray[np.uint8], card: Input, fill: int) -> Grey:
    """Grey, grey table and letterbox: uint8 (T, h, w, C) -> (T, size, size)."""
    grey = to_grey(frames)
    if card.grey_table is not None:
        grey = np.asarray(card.grey_table, np.uint8)[grey]
    box = Letterbox.fit(grey.shape[1], grey.shape[2], card.size)
    return np.stack([box.place(frame, fill) for frame in grey])


def normalised(squares: Grey, card: Input) -> torch.Tensor:
    """uint8 (T, size, size) -> float32 (T, channels, size, size): (value / 255 - mean) / std."""
    scaled = torch.from_numpy(np.ascontiguousarray(squares)).to(torch.float32).div_(255.0)
    mean, std = (torch.tensor(part, dtype=torch.float32).view(1, -1, 1, 1) for part in (card.mean, card.std))
    return (scaled.unsqueeze(1) - mean) / std


def network_input(frames: npt.NDArray[np.uint8], card: Input, fill: int = 0) -> torch.Tensor:
    """Everything: uint8 (T, h, w, C) -> float32 (T, channels, size, size).

    Args:
        frames: kept pixels, the rest zero; C 1 (grey) or 3 (RGB). RGB is shown as grey, repeated for 3 channels.
        card: the `input` part of the model's card.
        fill: grey level 0..255 around the letterboxed picture (`crop.fill` of the card).

    Raises:
        ValueError: shape or type of `frames` is not as above.
    """
    if frames.dtype != np.uint8:
        raise ValueError(f"frames must be uint8, not {frames.dtype}")
    return normalised(letterboxed(frames, card, fill), card)
