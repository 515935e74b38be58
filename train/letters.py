"""Learns the cell network of the text check from drawn echoes and writing, and writes its weights.

`python -m train.letters --out dicom_ai/crop/glyphs.onnx`. No picture of a patient is read. What this is not: a
classifier of signs; that one is trained by `train.fit`.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from dicom_ai.crop.strokes import CELL, PLANES, planes
from train.echoes import echoes
from train.writing import TEXT, written

SIZE = (320, 416)
WIDTH = 24
_UNSURE = 255
_ALL = torch.ones(1, SIZE[0] // CELL, SIZE[1] // CELL, dtype=torch.bool)


def drawn(seed: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """One example: measured cells uint8 (h, w, PLANES) and truth uint8 (h, w), 1 text, 0 none, 255 not asked."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng((seed, 71))
    lines = 0 if rng.random() < 0.35 else int(rng.integers(2, 7))
    made = written(echoes(rng, SIZE), rng, lines=lines, marks=int(rng.integers(0, 4)))
    keep = np.full(SIZE, 255, np.uint8)
    rows, columns = SIZE[0] // CELL, SIZE[1] // CELL
    text = (made.truth == TEXT).reshape(rows, CELL, columns, CELL).mean(axis=(1, 3))
    near = cv2.dilate((made.truth > 0).astype(np.uint8), np.ones((9, 9), np.uint8))
    touched = near.reshape(rows, CELL, columns, CELL).any(axis=(1, 3))
    truth = np.where(text >= 0.4, 1, np.where(touched, _UNSURE, 0)).astype(np.uint8)
    return planes(made.picture, keep), truth


class Net(nn.Module):
    """The network of `dicom_ai.crop.glyphs` as torch trains it."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(PLANES, WIDTH, 1), nn.ReLU(), nn.Conv2d(WIDTH, WIDTH, 3, padding=1), nn.ReLU(),
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1), nn.ReLU(), nn.Conv2d(WIDTH, 1, 1),
        )  # fmt: skip

    def forward(self, logs: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
        """float32 (N, h, w, PLANES), log(1 + number), and bool (N, h, w) to logits (N, h, w).

        Cells outside tell their neighbours nothing.
        """
        first = self.layers[1](self.layers[0](logs.permute(0, 3, 1, 2))) * inside[:, None]
        return self.layers[2:](first)[:, 0]  # type: ignore[no-any-return]


def _logs(cells: npt.NDArray[np.uint8]) -> torch.Tensor:
    return torch.log1p(torch.from_numpy(cells).float())


def export(net: Net, file: Path) -> None:
    """Write a network as `dicom_ai.crop.glyphs` reads it."""
    axes = {name: {0: "n", 1: "h", 2: "w"} for name in ("logs", "inside", "logits")}
    example = torch.zeros(1, 4, 4, PLANES), torch.ones(1, 4, 4, dtype=torch.bool)
    torch.onnx.export(net.eval(), example, str(file), dynamo=False, input_names=["logs", "inside"],
                      output_names=["logits"], dynamic_axes=axes)  # fmt: skip


def loss_of(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Focal cross entropy: the few cells that are nearly mistaken count, the many clear ones do not."""
    asked = truth != _UNSURE
    wanted = (truth == 1).float()
    raw = nn.functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    sure = torch.exp(-raw)
    weight = (1 - sure) ** 1.5 * torch.where(wanted > 0, 3.0, 1.0) * asked
    return (weight * raw).sum() / asked.sum()


def fit(cells: npt.NDArray[np.uint8], truth: npt.NDArray[np.uint8], *, epochs: int, seed: int) -> Net:
    """Train from scratch; the last tenth only tells how well."""
    torch.manual_seed(seed)
    net, rng = Net(), np.random.default_rng(seed)
    count = len(cells) * 9 // 10
    steps = epochs * (count // 16)
    optimiser = torch.optim.AdamW(net.parameters(), lr=4e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=4e-3, total_steps=steps)
    for epoch in range(epochs):
        order, total = rng.permutation(count), 0.0
        for start in range(0, count - 15, 16):
            some = np.sort(order[start : start + 16])
            loss = loss_of(net(_logs(cells[some]), _ALL), torch.from_numpy(truth[some]))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch} loss {total / (count // 16):.5f} {_told(net, cells[count:], truth[count:])}", flush=True)  # noqa: T201
    return net


def _told(net: Net, cells: npt.NDArray[np.uint8], truth: npt.NDArray[np.uint8]) -> str:
    with torch.no_grad():
        logits = torch.cat([net(_logs(part), _ALL) for part in np.array_split(cells, max(1, len(cells) // 16))])
    text, none = logits[torch.from_numpy(truth == 1)], logits[torch.from_numpy(truth == 0)]
    return f"text cells over 0: {float((text > 0).float().mean()):.4f}, others: {float((none > 0).float().mean()):.6f}"


def main() -> None:
    """Draw, fit, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("dicom_ai/crop/glyphs.onnx"))
    parser.add_argument("--count", type=int, default=8000)
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--seed", type=int, default=3)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    made = [drawn(asked.seed * 10_000_000 + number) for number in range(asked.count)]
    cells, truth = np.stack([one[0] for one in made]), np.stack([one[1] for one in made])
    net = fit(cells, truth, epochs=asked.epochs, seed=asked.seed)
    export(net, asked.out)


if __name__ == "__main__":
    main()
