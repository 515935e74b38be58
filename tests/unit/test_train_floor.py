"""The linear floor: what it says, that it sees no part it must not, and what a split by image makes of it."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from tests.collected import clip, data_set, store
from train.__main__ import app
from train.evaluate.runs import read_run
from train.floor import LEAST, seen_of, write_floor
from train.labels import Reading, asked_of, mapping_of, read_labels
from train.split import divided
from train.tables import DataSet

LUNG = Path(__file__).parents[2].parent / "shared" / "data" / "lung"
NAMES = "a_line=a_lines,b_line=b_lines,effusion=pleural_effusion,none=none,normal=none"
EVERY = 15
"""Of a clip every n-th frame."""


def collected(folder: Path, *, patients: int = 24, is_told: bool = True) -> DataSet:
    """Clips of patients whose pictures have a brightness of their own; a sign is a bright square where `is_told`."""
    rng = np.random.default_rng(5)
    clips, frames = [], []
    for number in range(patients * 2):
        signs = {"a_lines": float(number % 4 < 2), "b_lines": float(number % 4 >= 2)}
        labels = signs | {"pleural_effusion": 0.0, "consolidation": 0.0}
        clips.append(clip(number, f"{number // 2:032x}", first=number * 4, frames=4, labels=labels))
        square = rng.integers(20, 60, (4, 64, 64)) + np.random.default_rng(number // 2).integers(0, 90, (1, 64, 64))
        if is_told and signs["b_lines"]:
            square[:, 20:40, 20:40] += 60
        frames.append(square.astype(np.uint8))
    return store(replace(data_set(folder, []), clips=tuple(clips)), np.concatenate(frames))


@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
def test_the_floor_finds_what_is_plain_to_see(tmp_path, head):
    made = collected(tmp_path / "set")
    told = write_floor(made, divided(made, "kfold:3", 0), head, tmp_path / "run")
    assert sorted(zip(told.clip, told.frame, strict=True)) == sorted((c.id, n) for c in made.clips for n in range(1, 5))
    assert np.isfinite(told.logits).all()
    right = (told.logits[:, 0] > told.logits[:, 1]) == (told.truth[:, 0] == 1)
    assert right.mean() > 0.95
    assert told.logits[:, 2:].max() <= LEAST / 2  # never there
    run = read_run(tmp_path / "run")
    assert (run.name, run.word("data", "digest")) == ("linear-floor", made.digest)
    with pytest.raises(ValueError, match="holds something"):
        write_floor(made, divided(made, "kfold:3", 0), head, tmp_path / "run")


def test_what_is_not_there_it_knows_by_image_alone(tmp_path):
    """Signs that follow from the patient and nothing else: by patient it guesses, by image it remembers."""
    made = collected(tmp_path / "set", is_told=False)
    right = []
    for by in ("patient", "image"):
        told = write_floor(made, divided(made, "kfold:3", 0, by=by), "softmax", tmp_path / by)
        right.append(float((told.logits.argmax(axis=1) == told.truth.argmax(axis=1)).mean()))
    assert right[0] < 0.75
    assert right[1] > 0.95


def test_it_sees_the_picture_and_not_what_is_around_it():
    squares = np.zeros((2, 96, 96), np.uint8)
    squares[:, 20:60, 20:60] = 100
    squares[1, 20:60, 20:60] = 200
    seen = seen_of(squares)
    assert seen.shape == (2, 48 * 48 + 32)
    assert seen[:, 48 * 48 :].argmax(axis=1).tolist() == [12, 25]
    assert seen[:, 48 * 48 :].max() == 1
    assert seen_of(np.zeros((1, 64, 64), np.uint8)).max() == 0


def test_the_command_says_what_is_wrong(tmp_path):
    done = CliRunner().invoke(app, ["floor", str(tmp_path), "--out", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert "manifest.json" in done.output


@pytest.mark.verify
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not LUNG.is_dir(), reason=f"the real clips are not there ({LUNG})")
def test_what_splitting_by_image_pretends_on_real_clips(tmp_path, figure):
    """Frames as published, read without the crop's checks: the floor by image and by patient in one report."""
    made = _read(tmp_path / "set")
    _run("split", made.folder, "--scheme", "kfold:5", "--by", "image")
    _run("floor", made.folder, "--out", tmp_path / "patient", "--head", "softmax")
    by_image = made.folder / "split-by-image.json"
    _run("floor", made.folder, "--out", tmp_path / "image", "--head", "softmax", "--split", by_image)
    _run("evaluate", tmp_path / "image", tmp_path / "patient", "--out", tmp_path / "out")
    (gap,) = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))["gaps"]
    rows = {row["figure"]: row for row in gap["rows"]}
    for name in ("whole/accuracy", "macro/f1"):
        sides = [f"{side.replace('_', ' ')} {_said(rows[name][side])}" for side in ("by_image", "by_patient")]
        sides.append(f"gap {_said(rows[name]['gap'])}")
        figure(f"linear floor, real lung frames with one sign, {name}", "; ".join(sides), "a gap above 0")
    accuracy = rows["whole/accuracy"]
    assert accuracy["gap"]["low"] > 0.1
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "What a split by image pretends" in page
    assert all(f"{100 * accuracy[side]['value']:.2f}" in page for side in ("by_image", "by_patient", "gap"))


def _said(one: dict[str, float]) -> str:
    return f"{one['value']:.3f} ({one['low']:.3f} to {one['high']:.3f})"


def _run(*words: object) -> None:
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output


def _read(folder: Path) -> DataSet:
    asked = asked_of("lung-public", "lung-signs")
    told = read_labels(LUNG / "labels.csv", Reading("lung-signs", mapping_of([NAMES], "lung-signs"), asked=asked))
    clips, frames, first = [], [], 0
    for number, one in enumerate(told):
        squares = [square for name in one.files for square in _squares(LUNG / name)]
        kept = {"source": one.source, "labels": one.labels, "single_sign": one.single_sign}
        clips.append(clip(number, one.patient, first=first, frames=len(squares), **kept))
        frames.append(np.stack(squares))
        first += len(squares)
    return store(replace(data_set(folder, []), clips=tuple(clips)), np.concatenate(frames))


def _squares(file: Path) -> list[np.ndarray]:
    """Grey squares of 128 pixels of a still, or of every n-th frame of a clip; black ones left out."""
    if file.suffix != ".mp4":
        shown = [cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)]
    else:
        capture, shown = cv2.VideoCapture(str(file)), []
        while capture.grab():
            if capture.get(cv2.CAP_PROP_POS_FRAMES) % EVERY == 1:
                shown.append(cv2.cvtColor(capture.retrieve()[1], cv2.COLOR_BGR2GRAY))
    return [cv2.resize(grey, (128, 128), interpolation=cv2.INTER_AREA) for grey in shown if grey.mean() >= 3]
