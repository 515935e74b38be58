"""Studies with a bright square of known place in every frame, and a model whose activation map is known beforehand.

The model's features are the mean over a cell of how far each pixel lies over a grey level that nothing but the square
reaches, and its class weight is positive: the map of its first class is the square's share of each cell, times a
constant. Everything found of the square is then the doing of crop, resize, map, contour and the way back.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydicom.dataset import Dataset
from torch import nn

from dicom_ai.classify.catalogue import Installed
from dicom_ai.report.rendering import Rendering, colours
from dicom_ai.simulate.device import device
from dicom_ai.simulate.encoding import add_frames
from dicom_ai.simulate.exam import Exam, Shot, exam
from dicom_ai.simulate.patients import patient_of
from models import registry
from models.card import ModelCard, write_card
from models.frame_classifier import FrameClassifier
from models.weights import VECTORS, WEIGHTS, save_tensors
from tests.unit.tiny_model import _card

Square = tuple[int, int, int, int]
"""x0, y0, x1, y1 in full-frame pixels, half open."""

MOST = 110
"""Grey level of the brightest echo beside a square."""
LEVEL = 0.45
"""Of 255: what has evidence lies above; just over the brightest echo."""
CLASSES = ("a_lines", "b_lines")


class _Cells(nn.Module):
    def __init__(self, cell: int) -> None:
        super().__init__()
        self._over = nn.AvgPool2d(cell)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        over: torch.Tensor = self._over(torch.relu(frames - LEVEL) / (1 - LEVEL))
        return over


def _network(*, n_classes: int, cell: int) -> FrameClassifier:
    network = FrameClassifier(_Cells(cell), 1, n_classes=n_classes)
    with torch.no_grad():
        network.head.weight[:] = torch.tensor([[100.0], [0.0], [0.0]])
        network.head.bias[:] = torch.tensor([0.0, -5.0, 5.0])
    return network


@contextmanager
def registered() -> Iterator[None]:
    """While the network is known by its name; tests of all registered networks know nothing of it."""
    registry.register("bright_cells")(_network)
    yield
    del registry._BUILDERS["bright_cells"]


def seeing_model(folder: Path, *, size: int, cell: int) -> Installed:
    """The model as a folder: input of `size` x `size` pixels, a map of cells of `cell` x `cell` input pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    network = _network(n_classes=len(CLASSES), cell=cell).eval()
    shown = torch.rand(2, 1, size, size, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        vectors = {"input": shown, "logits": network(shown)}
    digests = {
        WEIGHTS: save_tensors(network.state_dict(), folder / WEIGHTS),
        VECTORS: save_tensors(vectors, folder / VECTORS),
    }
    classes = [
        {**one, "id": name, "threshold": 0.4, "code": {"value": code, "scheme": "99DICOMAI", "meaning": code}}
        for one, name, code in zip(_card()["classes"], CLASSES, ("ALINE", "BLINE"), strict=True)
    ]
    changes: dict[str, Any] = {
        "name": f"seeing-{cell}",
        "network": {"name": "bright_cells", "n_classes": len(CLASSES), "cell": cell},
        "input": {"size": size, "channels": 1, "mean": [0.0], "std": [1.0]},
        "classes": classes,
        "calibration": {"kind": "none"},
        "abstain": {"kind": "none", "threshold": 0.0, "false_alarm": 0.0},
        "digests": digests,
    }
    card = ModelCard.model_validate(_card() | changes)
    write_card(card, folder)
    return Installed(folder, card)


@dataclass(frozen=True)
class Painted:
    """A study, and the squares of every frame by SOP Instance UID."""

    exam: Exam
    squares: dict[str, tuple[Square, ...]]
    brightest: dict[str, int]


@dataclass(frozen=True)
class Wish:
    """One object: its square's size, its place among all places that fit (0..1), how many frames, steps per frame."""

    width: int
    height: int
    share: float
    frames: int = 1
    brightest: int = 1
    step: tuple[int, int] = (0, 0)


def painted(name: str, wishes: list[Wish], *, seed: int) -> Painted:
    """A lung study of a simulated device; each wish is one object."""
    shots = [Shot(frozenset({"a_lines"}), frames=wish.frames) for wish in wishes]
    study = exam("lung", seed=seed, patient=patient_of(seed), layout=name, content=shots)
    squares, brightest = {}, {}
    for ds, wish in zip(study, wishes, strict=True):
        uid = str(ds.SOPInstanceUID)
        inside = study.truth[ds.SOPInstanceUID].sector_mask
        squares[uid], brightest[uid] = _paint(ds, inside, wish, name), wish.brightest
    return Painted(study, squares, brightest)


def _paint(ds: Dataset, inside: npt.NDArray[np.bool_], wish: Wish, name: str) -> tuple[Square, ...]:
    frames = ds.pixel_array.copy()
    frames = frames.reshape(wish.frames, *inside.shape, -1)
    reach = tuple(abs(step) * (wish.frames - 1) for step in wish.step)
    y0, x0 = _corner(inside, wish.width + reach[0], wish.height + reach[1], wish.share)
    squares = []
    for n, frame in enumerate(frames):
        frame[inside] = np.rint(frame[inside] * (MOST / 255))  # all echoes darker alike: a picture as before
        x = x0 + (wish.step[0] * n if wish.step[0] >= 0 else reach[0] + wish.step[0] * n)
        y = y0 + (wish.step[1] * n if wish.step[1] >= 0 else reach[1] + wish.step[1] * n)
        frame[y : y + wish.height, x : x + wish.width] = 255 if n + 1 == wish.brightest else 225
        squares.append((x, y, x + wish.width, y + wish.height))
    scanner = device(name)
    encoding = scanner.clip_encoding if wish.frames > 1 else scanner.encoding
    grey = frames[..., 0] if frames.shape[-1] == 1 else frames
    ds.file_meta.TransferSyntaxUID = add_frames(ds, grey, encoding)
    return tuple(squares)


def _corner(inside: npt.NDArray[np.bool_], width: int, height: int, share: float) -> tuple[int, int]:
    """Upper left corner (y, x) of a rectangle that lies inside with six pixels to spare."""
    wide, high = width + 12, height + 12
    sums = np.pad(inside.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    filled = sums[high:, wide:] - sums[:-high, wide:] - sums[high:, :-wide] + sums[:-high, :-wide]
    places = np.argwhere(filled == wide * high)
    y, x = places[round(share * (len(places) - 1))]
    return int(y) + 6, int(x) + 6


def heat_of(picture: npt.NDArray[np.uint8], rendering: Rendering, opacity: float) -> npt.NDArray[np.float64]:
    """Read heat back from a drawn grey frame (h, w, 3): the level whose colour differences fit best, 0..255.

    Where the echo is grey, blending leaves `opacity * heat * (colour differences)`; the echo itself cancels out.
    """
    ramp = colours(rendering.colours).astype(float)
    level = np.arange(256)
    table = (opacity * level / 255)[:, None] * np.diff(ramp, axis=1)
    seen = np.diff(picture.astype(float), axis=2)
    found = np.zeros(seen.shape[:2])
    tinted = np.abs(seen).sum(axis=2) > 12
    apart = ((seen[tinted][:, None] - table[None]) ** 2).sum(axis=2)
    found[tinted] = level[apart.argmin(axis=1)]
    return found
