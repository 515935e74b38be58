"""Learns the closer look of the text check from drawn echoes and writing, and writes it as ONNX.

`python -m train.closer --out dicom_ai/crop/closer.onnx`. The examples are the places where the first look
(`dicom_ai.crop.glyphs`) is unsure or sees text, so the network learns what that one cannot tell. No picture of a
patient is read. What this is not: a classifier of signs; that one is trained by `train.fit`.
"""

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from dicom_ai.crop.closer import BLOCK, MARGIN, PATCH, blocks_above, patches
from dicom_ai.crop.glyphs import lettering
from dicom_ai.crop.strokes import CELL, planes
from dicom_ai.crop.text import within
from train.echoes import echoes
from train.writing import TEXT, written

SIZE = (320, 416)
LEAST = -1.5
"""Logit of the first look from which a place becomes an example: a little lower than where the check looks closer."""

_UNSURE = 255
_DEPTHS, _STRIDES = (16, 16, 16, 32, 32, 48, 48), (1, 2, 1, 2, 1, 2, 1)
"""Channels in multiples of 16: what ONNX Runtime need not reorder between its layers."""

Bytes = npt.NDArray[np.uint8]


def drawn(seed: int) -> tuple[Bytes, Bytes]:
    """Examples of one picture: patches uint8 (N, PATCH, PATCH); truth uint8 (N, BLOCK, BLOCK), 1, 0, 255 not asked."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng((seed, 72))
    lines = 0 if rng.random() < 0.4 else int(rng.integers(2, 9))
    made = written(echoes(rng, SIZE), rng, lines=lines, marks=int(rng.integers(0, 4)), video=0.3)
    keep = _kept(rng)
    shown = within(made.picture, keep, np.asarray(cv2.blur(keep, (11, 11)), np.uint8))
    rows, columns = SIZE[0] // CELL, SIZE[1] // CELL
    inside = np.asarray(keep.reshape(rows, CELL, columns, CELL).any(axis=(1, 3)), np.bool_)
    blocks = blocks_above(lettering(planes(shown, keep), inside), LEAST)
    return patches(shown, blocks), _cut(_truth(made.truth & keep, rows, columns), blocks)


def _kept(rng: np.random.Generator) -> Bytes:
    """What is kept of a picture: most often all, else cut by a slanting edge or an arc."""
    keep = np.full(SIZE, 255, np.uint8)
    if rng.random() < 0.5:
        return keep
    at, turn = rng.uniform(0.1, 0.9, 2) * SIZE[::-1], float(rng.uniform(0, 6.28))
    ys, xs = np.mgrid[: SIZE[0], : SIZE[1]]
    keep[(xs - at[0]) * np.cos(turn) + (ys - at[1]) * np.sin(turn) > 0] = 0
    if rng.random() < 0.3:
        cv2.circle(keep, (int(at[0]), int(at[1])), int(rng.integers(40, 200)), (0,), -1)
    return keep


def _truth(marked: Bytes, rows: int, columns: int) -> Bytes:
    """Cell by cell, as for the first look: 1 text, 0 none near, 255 not asked."""
    text = (marked == TEXT).reshape(rows, CELL, columns, CELL).mean(axis=(1, 3))
    near = cv2.dilate((marked > 0).astype(np.uint8), np.ones((9, 9), np.uint8))
    touched = near.reshape(rows, CELL, columns, CELL).any(axis=(1, 3))
    return np.where(text >= 0.4, 1, np.where(touched, _UNSURE, 0)).astype(np.uint8)


def _cut(truth: Bytes, blocks: list[tuple[int, int]]) -> Bytes:
    if not blocks:
        return np.empty((0, BLOCK, BLOCK), np.uint8)
    framed = np.pad(truth, ((0, BLOCK), (0, BLOCK)), constant_values=_UNSURE)
    return np.stack([framed[y * BLOCK : (y + 1) * BLOCK, x * BLOCK : (x + 1) * BLOCK] for y, x in blocks])


class Net(nn.Module):
    """Seven 3 x 3 convolutions over a patch, then a logit for each cell of its middle block."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 1
        for depth, stride in zip(_DEPTHS, _STRIDES, strict=True):
            layers += [nn.Conv2d(before, depth, 3, stride, 1, bias=False), nn.BatchNorm2d(depth), nn.ReLU()]
            before = depth
        self.layers = nn.Sequential(*layers, nn.Conv2d(before, 1, 1))

    def forward(self, grey: torch.Tensor) -> torch.Tensor:
        """uint8 (N, PATCH, PATCH) to float32 (N, BLOCK, BLOCK)."""
        level = grey.float()[:, None] / 32
        level = level - level.mean(dim=(2, 3), keepdim=True)
        edge = MARGIN // CELL
        return self.layers(level)[:, 0, edge : edge + BLOCK, edge : edge + BLOCK]  # type: ignore[no-any-return]


def loss_of(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Focal cross entropy over the cells that are asked."""
    asked = truth != _UNSURE
    wanted = (truth == 1).float()
    raw = nn.functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    weight = (1 - torch.exp(-raw)) ** 1.5 * asked
    return (weight * raw).sum() / asked.sum().clamp(min=1)


def fit(seen: Bytes, truth: Bytes, *, epochs: int, seed: int) -> Net:
    """Train from scratch; the last tenth only tells how well."""
    torch.manual_seed(seed)
    net, rng = Net(), np.random.default_rng(seed)
    count, many = len(seen) * 9 // 10, 128
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-3)
    steps = epochs * (count // many)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=3e-3, total_steps=steps)
    for epoch in range(epochs):
        net.train()
        order, total = rng.permutation(count), 0.0
        for start in range(0, count - many + 1, many):
            some = np.sort(order[start : start + many])
            loss = loss_of(net(torch.from_numpy(seen[some])), torch.from_numpy(truth[some]))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch} loss {total / (count // many):.5f} {_told(net, seen[count:], truth[count:])}", flush=True)  # noqa: T201
    return net


def _told(net: Net, seen: Bytes, truth: Bytes) -> str:
    net.eval()
    with torch.no_grad():
        logits = torch.cat([net(torch.from_numpy(part)) for part in np.array_split(seen, max(1, len(seen) // 256))])
    best = logits.flatten(1).amax(1)
    flat = torch.from_numpy(truth).flatten(1)
    text, none = best[(flat == 1).any(1)], best[(flat == 0).all(1)]
    shares = ", ".join(
        f"{least}: {float((text > least).float().mean()):.4f} {float((none > least).float().mean()):.4f}"
        for least in (-1, 0, 1, 2)
    )
    return f"blocks with text, without one, above {shares}"


def main() -> None:
    """Draw, fit, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("dicom_ai/crop/closer.onnx"))
    parser.add_argument("--count", type=int, default=9000)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=5)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    begin = time.monotonic()
    made = [drawn(asked.seed * 10_000_000 + number) for number in range(asked.count)]
    seen, truth = np.concatenate([one[0] for one in made]), np.concatenate([one[1] for one in made])
    print(f"{len(seen)} places, {(truth == 1).any(axis=(1, 2)).mean():.2f} with text, {time.monotonic() - begin:.0f} s")  # noqa: T201
    net = fit(seen, truth, epochs=asked.epochs, seed=asked.seed)
    torch.onnx.export(
        net.eval(), (torch.zeros(2, PATCH, PATCH, dtype=torch.uint8),), str(asked.out), dynamo=False,
        input_names=["patches"], output_names=["logits"], dynamic_axes={"patches": {0: "n"}, "logits": {0: "n"}},
    )  # fmt: skip


if __name__ == "__main__":
    main()
