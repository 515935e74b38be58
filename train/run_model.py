"""A finished run becomes a model folder that `promote` can sign: weights, test vectors, distances, card.

The temperature and the rule of abstention come from the validation part, which chose nothing else but the best epoch;
one half of its patients ranks distances, the other measures false alarms. The stored inputs are drawn: no patient's
picture is in the folder. What this is not: figures (`evaluate` makes the evidence), or a promotion: its card says
"research", and without a signature no service loads it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file

from models.card import Abstain, Calibration, Map, ModelCard, Vectors, write_card
from models.feature_distance import pooled_of
from models.frame_classifier import FrameClassifier
from models.preprocess import normalised
from models.weights import VECTORS, WEIGHTS, save_tensors
from train.distance import abstain_at, fit_distance, with_distance
from train.evaluate.calibrate import temperature_of
from train.fit import Run, built
from train.lessons import Lesson, Shows
from train.loop import together
from train.phantoms import pictures
from train.recipe import Recipe
from train.run_folder import parts_taught, predicted, read_fold
from train.source import Source
from train.split import Part

MODEL = "model"
TOLERANCE = 1e-3
N_VECTORS = 8

Floats = npt.NDArray[np.float32]


def write_model(out: Path, recipe: Recipe, source: Source, run: Run) -> ModelCard:
    """Write RUN/model.

    Args:
        out: folder of a finished run of one fold.
        recipe: it was run with.
        source: it learned from.
        run: where and how it ran.

    Raises:
        ValueError: the run has several folds, or is of an earlier form.
    """
    if len(source.folds) > 1:
        raise ValueError("a cross-validation has as many networks as folds: choose one with --fold")
    told = read_fold(out)
    recipe, parts, _ = parts_taught(recipe, source, replace(run, folder=out), source.folds[0])
    network = built(recipe, run.seed)
    network.load_state_dict(load_file(out / WEIGHTS))
    folder = out / MODEL
    folder.mkdir(exist_ok=True)
    few = recipe.phantoms.validation.model_copy(update={"count": N_VECTORS})
    shown = normalised(pictures(recipe, few, cache=None).shown, recipe.input)
    with torch.inference_mode():
        features = network.eval().features_of(shown)
        vectors = {"input": shown, "logits": network.logits_of(features)}
    digests = {WEIGHTS: save_tensors(network.state_dict(), folder / WEIGHTS),
               VECTORS: save_tensors(vectors, folder / VECTORS)}  # fmt: skip
    card = _card(recipe, network, _calibration(network, parts["validation"], recipe), _data(parts, told), digests)
    card = _abstaining(folder, card, network, recipe, parts, pooled_of(features).numpy())
    write_card(card, folder)
    return card


def _abstaining(
    folder: Path, card: ModelCard, network: FrameClassifier, recipe: Recipe, parts: Mapping[Part, Lesson], few: Floats
) -> ModelCard:
    """The card with distances, where the validation part has two patients at least."""
    taught, judged = parts["train"], parts["validation"]
    names = sorted(set(judged.patient), key=lambda name: hashlib.sha256(str(name).encode()).digest())
    if len(names) < 2:
        return card
    half = np.isin(judged.patient, names[::2])
    groups = taught.labels.argmax(axis=1).astype(np.int64) if recipe.head == "softmax" else None
    seen = _pooled(network, judged, recipe)
    made = fit_distance(_pooled(network, taught, recipe), seen[half], groups)
    return with_distance(folder, card, made, abstain_at(made, seen[~half]), few)


def _pooled(network: FrameClassifier, lesson: Lesson, recipe: Recipe) -> Floats:
    shows, found = Shows(lesson, recipe), []
    with torch.inference_mode():
        for start in range(0, len(shows), 32):
            items = [shows[index] for index in range(start, min(start + 32, len(shows)))]
            found.append(pooled_of(network.features_of(together(items, recipe.input)[0])))
    return np.asarray(torch.cat(found).numpy(), np.float32)


def _calibration(network: FrameClassifier, judged: Lesson, recipe: Recipe) -> Calibration:
    told = predicted(network, judged, recipe, 0)
    return Calibration(kind="temperature", temperature=round(temperature_of(told.logits, told.truth, told.head), 4))


def _data(parts: Mapping[Part, Lesson], told: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    stated = told["digests"]
    return tuple(
        {"split": name, "count": len(one), "patients": len(set(one.patient)),
         "kind": "simulated by dicom_ai.simulate.phantom" if stated else "collected",
         **({"digest": stated[name]} if stated else {})}
        for name, one in parts.items()
    )  # fmt: skip


def _card(
    recipe: Recipe, network: FrameClassifier, calibration: Calibration, data: tuple[dict[str, Any], ...],
    digests: dict[str, str],
) -> ModelCard:  # fmt: skip
    return ModelCard(
        name=recipe.name,
        version=recipe.version,
        task=recipe.task,
        grade="research",
        network=recipe.network,
        input=recipe.input,
        crop=recipe.crop,
        classes=recipe.classes,
        head=recipe.head,
        calibration=calibration,
        abstain=Abstain(kind="none", threshold=0.0, false_alarm=0.0),
        map=Map(layer=FrameClassifier.map_layer, kind=network.map_kind),
        pooling=recipe.pooling,
        vectors=Vectors(tolerance=TOLERANCE),
        data=data,
        metrics=(),
        intended_use=recipe.intended_use,
        digests=digests,
        licence="as the terms of the data it was made of allow",
    )
