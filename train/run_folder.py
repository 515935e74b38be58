"""The folder of a run: what a recipe learned from which data, and what it then said of frames it did not learn from.

    RUN/run.json              recipe, seed, digests of data and split, start, curves; "finished" once all is there
    RUN/predictions.npz       of the part that judges; of all folds of a cross-validation together
    RUN/validation.npz        of the validation part, where another one judges
    RUN/weights.safetensors   of the network; of a cross-validation in RUN/fold-0, RUN/fold-1, …
    RUN/checkpoint.ckpt, RUN/log   to go on after a stop, and for TensorBoard

The same command again goes on where the last one stopped. What this is not: a judgement (`train evaluate`).
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from models.frame_classifier import FrameClassifier
from models.imagenet import said, start_from
from models.weights import WEIGHTS, save_tensors
from train.fit import Run, built, drawn_parts, equalised, learned, lessons_of, rank
from train.grey import training_histogram
from train.lessons import Lesson, Shows, parts_of
from train.loop import together
from train.recipe import Recipe
from train.source import Source, stated_of
from train.split import Part
from train.tables import Predictions, joined, read_predictions

RUN, PREDICTIONS, VALIDATION, FOLD = "run.json", "predictions.npz", "validation.npz", "fold.json"
SCHEMA_VERSION = 1


def run_recipe(recipe: Recipe, source: Source, run: Run, out: Path) -> dict[str, Any]:
    """Train every fold and write the folder; what is there already is not done again.

    Args:
        recipe: what to make.
        source: from what.
        run: where and how; its folder is not looked at.
        out: folder of the run.

    Returns:
        What `run.json` says.

    Raises:
        ValueError: the folder holds another run, or the data set cannot teach this recipe.
    """
    source.require_fits(recipe)
    stated = _stated(recipe, source, run)
    if rank() == 0:
        out.mkdir(parents=True, exist_ok=True)
        _require_same(out, stated["key"])
        if _is_finished(out):
            return _read(out / RUN)
        _write(out / RUN, stated)
    folders = {fold: out if len(source.folds) == 1 else out / f"fold-{fold}" for fold in source.folds}
    for fold, folder in folders.items():
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / FOLD).is_file():
            _run_fold(recipe, source, replace(run, folder=folder), fold)
    if rank() != 0:
        return stated
    return _finish(out, folders, stated)


def _run_fold(recipe: Recipe, source: Source, run: Run, fold: int) -> None:
    began = time.monotonic()
    recipe, parts, digests = parts_taught(recipe, source, run, fold)
    network, started = _start(recipe, source, run)
    found = learned(recipe, parts, run, network=network, is_resumable=True)
    if rank() != 0:
        return
    judged: Part = "test" if len(parts["test"]) else "validation"
    predicted(found.network, parts[judged], recipe, fold).write(run.folder / PREDICTIONS)
    if judged != "validation":
        predicted(found.network, parts["validation"], recipe, fold).write(run.folder / VALIDATION)
    weights = save_tensors(found.network.state_dict(), run.folder / WEIGHTS)
    table = recipe.input.grey_table
    _write(run.folder / FOLD, {
        "fold": fold, "start": started, "judged": judged, "weights": weights, "digests": digests,
        "grey_table": None if table is None else list(table),
        "parts": {name: {"frames": len(one), "patients": len(set(one.patient)), "left_out": one.left_out}
                  for name, one in parts.items()},
        "curves": found.curves, "seconds": round(time.monotonic() - began, 1),
    })  # fmt: skip


def parts_taught(
    recipe: Recipe, source: Source, run: Run, fold: int
) -> tuple[Recipe, dict[Part, Lesson], dict[str, str]]:
    """The recipe with the training part's grey table where it asks for one, the parts, and what phantoms hash to.

    Raises:
        ValueError: a part has no frame that the recipe's head can use.
    """
    if source.made is not None and source.split is not None:
        if recipe.grey == "equalised":
            recipe = equalised(recipe, training_histogram(source.made, source.split, fold))
        return recipe, parts_of(source.made, source.split, fold, recipe.head, source.most), {}
    recipe, drawn = _drawn(recipe, run)
    return recipe, lessons_of(recipe, drawn), {str(name): one.digest for name, one in drawn.items()}


def _drawn(recipe: Recipe, run: Run) -> tuple[Recipe, dict[Part, Any]]:
    shared = recipe.model_copy(update={"name": recipe.task})  # recipes that draw the same share a cache
    drawn = drawn_parts(shared, run)
    if recipe.grey == "equalised":
        recipe = equalised(recipe, np.bincount(drawn["train"].shown.ravel(), minlength=256).astype(np.int64))
        drawn = drawn_parts(recipe.model_copy(update={"name": recipe.task}), run)
    return recipe, drawn


def _start(recipe: Recipe, source: Source, run: Run) -> tuple[FrameClassifier | None, str]:
    """What the network starts from: a file of weights, phantoms, both, or nothing; and that in words."""
    network, words = None, said(None)
    if source.start is not None:
        network = built(recipe, run.seed)
        words = said(start_from(network, str(recipe.network["name"]), source.start))
    if source.made is None or not recipe.fit.pretrain:
        return network, words
    folder = run.folder / "phantoms"
    folder.mkdir(parents=True, exist_ok=True)
    fit = recipe.fit.model_copy(update={"epochs": recipe.fit.pretrain, "patience": None, "keep": "last"})
    before = recipe.model_copy(update={"fit": fit})
    words += f"; then {recipe.fit.pretrain} epochs of {recipe.phantoms.train.count} phantoms"
    if (folder / WEIGHTS).is_file():
        network = network or built(recipe, run.seed)
        network.load_state_dict(load_file(folder / WEIGHTS))
        return network, words
    own = replace(run, folder=folder)
    drawn = drawn_parts(before.model_copy(update={"name": recipe.task}), own)
    found = learned(before, lessons_of(before, drawn), own, network=network, is_resumable=True)
    if rank() == 0:
        save_tensors(found.network.state_dict(), folder / WEIGHTS)
    return found.network, words


def predicted(network: FrameClassifier, lesson: Lesson, recipe: Recipe, fold: int) -> Predictions:
    """What the network says of every frame of a part, without augmentation, in float32 on the CPU or a GPU."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = network.to(device).eval()
    shows, logits, features = Shows(lesson, recipe), [], []
    with torch.inference_mode():
        for start in range(0, len(shows), 32):
            items = [shows[index] for index in range(start, min(start + 32, len(shows)))]
            maps = network.features_of(together(items, recipe.input)[0].to(device))
            logits.append(network.divided(network.logits_of(maps))[0].float().cpu())
            features.append(network.pooled(maps).float().cpu())
    network.cpu()
    return Predictions(
        recipe.class_ids, recipe.head, torch.cat(logits).numpy(), lesson.labels, lesson.clip, lesson.patient,
        lesson.source, lesson.device, lesson.probe, lesson.frame, np.full(len(lesson), fold),
        torch.cat(features).numpy(),
    )  # fmt: skip


def _finish(out: Path, folders: Mapping[int, Path], stated: dict[str, Any]) -> dict[str, Any]:
    """Folds together, and `run.json` says that all is there."""
    folds = [_read(folder / FOLD) for folder in folders.values()]
    if len(folders) > 1:
        for name in (PREDICTIONS, VALIDATION):
            files = [folder / name for folder in folders.values()]
            if all(file.is_file() for file in files):
                joined([read_predictions(file) for file in files]).write(out / name)
    curves = [{"fold": fold["fold"], **row} for fold in folds for row in fold.pop("curves")]
    first = folds[0]
    if first["digests"]:
        stated["data"]["digest"] = _sha(first["digests"])
    told = stated | {"curves": curves, "start": first["start"], "judged": first["judged"], "folds": folds,
                     "seconds": sum(fold["seconds"] for fold in folds), "finished": True}  # fmt: skip
    _write(out / RUN, told)
    return told


def _stated(recipe: Recipe, source: Source, run: Run) -> dict[str, Any]:
    told: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION, "recipe": recipe.name, "settings": recipe.model_dump(mode="json"),
        "seed": run.seed, "steps": run.steps, "most": source.most, "fold": source.fold, "head": recipe.head,
    }  # fmt: skip
    if source.made is None or source.split is None:
        seeds = {name: getattr(recipe.phantoms, name).model_dump() for name in ("train", "validation", "test")}
        told |= {"name": recipe.name, "data": {"digest": _sha(recipe.phantoms.model_dump()), "kind": "phantoms"},
                 "split": {"digest": _sha(seeds), "by": "patient", "scheme": "seeds", "beside": ""}}  # fmt: skip
    else:
        told |= stated_of(source.made, source.split, recipe.name)
    start = None if source.start is None else hashlib.sha256(source.start.read_bytes()).hexdigest()
    return told | {"start_sha256": start, "key": _sha(told | {"start": start})}


def _require_same(out: Path, key: str) -> None:
    if not (out / RUN).is_file():
        if any(out.iterdir()):
            raise ValueError(f"{out} holds something that is no run; give an empty folder")
        return
    if _read(out / RUN).get("key") != key:
        raise ValueError(f"{out} holds another run (recipe, seed or data differ); give another --out")


def _is_finished(out: Path) -> bool:
    return bool(_read(out / RUN).get("finished")) if (out / RUN).is_file() else False


def read_fold(folder: Path) -> dict[str, Any]:
    """What is stated of one finished fold.

    Raises:
        ValueError: it is not finished.
    """
    if not (folder / FOLD).is_file():
        raise ValueError(f"{folder} holds no finished run of one fold")
    return _read(folder / FOLD)


def _sha(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _write(path: Path, told: Mapping[str, Any]) -> None:
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8") as file:
        file.write(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def rows_of(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What people want to know of a run, as pairs of words."""
    last = told["curves"][-1] if told.get("curves") else {}
    yield "recipe", str(told["recipe"])
    yield "start", str(told["start"])
    yield (
        "judged on",
        f"{told['judged']}: {sum(one['parts'][told['judged']]['frames'] for one in told['folds'])} frames",
    )
    for name in ("train_loss", "validation_loss", "validation_right"):
        if name in last:
            yield name, f"{last[name]:.4f}"
    yield "seconds", str(told["seconds"])
