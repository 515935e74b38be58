"""Figures of the data's way: near-duplicates on real clips, and whether reading frames ever holds training up."""

import statistics
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torchvision.models import resnet18

from tests.collected import data_set, store
from train.augment import Sample, augmented
from train.labels import Reading, asked_of, mapping_of, read_labels
from train.near import NEAR, bits_apart, hashes_of
from train.tables import read_data_set

LUNG = Path(__file__).parents[2].parent / "shared" / "data" / "lung"
EVERY = 20
"""Of a clip every n-th frame."""

pytestmark = pytest.mark.verify


def squares_of(file: Path) -> list[np.ndarray]:
    """Grey squares of 256 pixels of a still, or of every n-th frame of a clip."""
    if file.suffix != ".mp4":
        return [cv2.resize(cv2.imread(str(file), cv2.IMREAD_GRAYSCALE), (256, 256), interpolation=cv2.INTER_AREA)]
    capture, found = cv2.VideoCapture(str(file)), []
    for number in range(10_000):
        if not capture.grab():
            break
        if number % EVERY == 0:
            grey = cv2.cvtColor(capture.retrieve()[1], cv2.COLOR_BGR2GRAY)
            found.append(cv2.resize(grey, (256, 256), interpolation=cv2.INTER_AREA))
    return [grey for grey in found if grey.mean() >= 3]


@pytest.mark.skipif(not LUNG.is_dir(), reason=f"the real clips are not there ({LUNG})")
def test_near_duplicates_are_told_from_other_patients(tmp_path, figure):
    names = "a_line=a_lines,b_line=b_lines,effusion=pleural_effusion,none=none,normal=none"
    reading = Reading("lung-signs", mapping_of([names], "lung-signs"), asked=asked_of("lung-public", "lung-signs"))
    told = read_labels(LUNG / "labels.csv", reading)
    frames = [np.stack([square for name in one.files for square in squares_of(LUNG / name)]) for one in told]
    firsts = np.cumsum([0, *map(len, frames)])
    made = data_set(tmp_path, [one.patient for one in told])
    clips = [replace(c, first=int(f), frames=len(s)) for c, f, s in zip(made.clips, firsts[:-1], frames, strict=True)]
    hashes = hashes_of(np.concatenate(frames))
    apart = bits_apart(hashes, clips)
    patients = np.array([clip.patient for clip in clips])
    others = patients[:, np.newaxis] != patients[np.newaxis]
    near, pairs, least = int((apart[others] <= NEAR).sum() // 2), int(others.sum() // 2), int(apart[others].min())
    figure(
        f"two clips of different patients within {NEAR} of 256 bits, real lung",
        f"{near} of {pairs} pairs, nearest {least}",
        "0",
    )
    changed = np.stack([_changed(square) for square in np.concatenate(frames)[::5]])
    bits = np.bitwise_count(hashes_of(changed) ^ hashes[::5]).sum(axis=1)
    found = int((bits <= NEAR).sum())
    figure("the same frame at half the size, JPEG 50, a fifth brighter, found", f"{found} of {len(bits)}", "99 %")
    assert near == 0
    assert found >= 0.99 * len(bits)


def _changed(square: np.ndarray) -> np.ndarray:
    half = cv2.resize(square, (128, 128), interpolation=cv2.INTER_AREA)
    _, coded = cv2.imencode(".jpg", half, [cv2.IMWRITE_JPEG_QUALITY, 50])
    back = cv2.resize(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), (256, 256))
    return np.clip(back * 1.2, 0, 255).astype(np.uint8)


@pytest.mark.benchmark
def test_reading_and_augmenting_is_faster_than_a_training_step(tmp_path, figure):
    """On one core each: a batch of frames off the disk at 224 pixels with augmentation, and a step of ResNet-18."""
    rng = np.random.default_rng(0)
    made = data_set(tmp_path, [f"{n:032x}" for n in range(256)], frames=2)
    store(made, rng.integers(0, 256, (512, 256, 256)).astype(np.uint8))
    frames = read_data_set(tmp_path).frames
    torch.manual_seed(0)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    network = resnet18(weights=None, num_classes=4).train()
    optimiser = torch.optim.SGD(network.parameters(), 0.001)
    ratios, rates = [], []
    for _ in range(9):
        begin = time.perf_counter()
        batch = torch.from_numpy(np.stack([_shown(frames[n], rng) for n in rng.integers(0, 512, 16)]))
        read = time.perf_counter() - begin
        begin = time.perf_counter()
        optimiser.zero_grad()
        logits = network(batch.float().div_(255).unsqueeze(1).expand(-1, 3, -1, -1))
        torch.nn.functional.cross_entropy(logits, torch.zeros(16, dtype=torch.long)).backward()
        optimiser.step()
        rates.append(16 / read)
        ratios.append((time.perf_counter() - begin) / read)
    low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
    figure("frames a second read and augmented at 224 px, one core", f"{statistics.median(rates):.0f} (9 batches)", "")
    figure(
        "a step of ResNet-18 over the reading of its batch, one core each",
        f"{middle:.1f} ({low:.1f} to {high:.1f}, 9 pairs)",
        "> 1",
    )
    assert middle > 1


def _shown(frame: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    square = cv2.resize(frame, (224, 224), interpolation=cv2.INTER_AREA)
    sample = Sample(square, square, np.zeros_like(square), np.zeros(4, np.float32), good=True)
    return augmented(sample, rng, blanked=0.0, normal=None).picture
