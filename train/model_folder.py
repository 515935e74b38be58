"""A trained network becomes a model folder: weights, test vectors, card with calibration and figures, README.

What this is not: a promotion. The card's grade is always "demonstration" here; data are simulated.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from dicom_ai.classify.runtime import Classifier
from models.card import Abstain, Calibration, Map, ModelCard, Vectors, write_card
from models.frame_classifier import FrameClassifier
from models.preprocess import normalised
from models.weights import VECTORS, WEIGHTS, save_tensors
from train.loss import class_loss
from train.measure import cases, measure, screen_cases
from train.phantoms import Pictures
from train.recipe import Recipe

N_VECTORS = 8
EACH = 20
"""Unseen pictures per kind behind the card's figures."""
TOLERANCE = 1e-3
MEASURE_SEED = 4_000_000
SCREEN_SEED = 4_500_000
"""First seeds of the pictures behind the card's figures; no split of a recipe reaches them."""
UNSEEN_LAYOUT = "other-vendor"


def write_folder(folder: Path, network: FrameClassifier, recipe: Recipe, splits: dict[str, Pictures]) -> ModelCard:
    """Write a model folder and measure it through the serving classifier.

    Args:
        folder: is made if absent; files of the same name are replaced.
        network: trained, on the CPU, in evaluation mode.
        recipe: that made it.
        splits: train, validation, test.

    Returns:
        The card as written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    logits = logits_of(network, splits["validation"], recipe)
    shown = normalised(splits["validation"].shown[:N_VECTORS], recipe.input)
    with torch.inference_mode():
        vectors = {"input": shown, "logits": network(shown)}
    digests = {
        WEIGHTS: save_tensors(network.state_dict(), folder / WEIGHTS),
        VECTORS: save_tensors(vectors, folder / VECTORS),
    }
    write_card(_card(recipe, splits, logits, digests), folder)
    return write_figures(folder, recipe)


def write_figures(folder: Path, recipe: Recipe) -> ModelCard:
    """Measure a model folder on pictures and screens nobody trained on; write the figures to card and README.

    Returns:
        The card as written.
    """
    classifier = Classifier(folder, device="cpu")
    metrics = (
        {"data": f"simulated, seeds from {MEASURE_SEED}"} | measure(classifier, cases(recipe, MEASURE_SEED, EACH)),
        {"data": f"simulated screens, layout {UNSEEN_LAYOUT}, seeds from {SCREEN_SEED}"}
        | measure(classifier, screen_cases(recipe, UNSEEN_LAYOUT, SCREEN_SEED, EACH)),
    )
    card = classifier.card.model_copy(update={"metrics": metrics})
    write_card(card, folder)
    (folder / "README.md").write_text(readme(card), encoding="utf-8")
    return card


def logits_of(network: FrameClassifier, drawn: Pictures, recipe: Recipe) -> torch.Tensor:
    """Logits (N, K + 1) of a split, without augmentation."""
    with torch.inference_mode():
        parts = [
            network(normalised(part, recipe.input)) for part in np.array_split(drawn.shown, len(drawn.shown) // 32 + 1)
        ]
    return torch.cat(parts)


def temperature_of(logits: torch.Tensor, drawn: Pictures, head: str) -> float:
    """The temperature, 0.25..4, with the least class loss on the good pictures of a split."""
    labels, judge = torch.from_numpy(drawn.labels), torch.from_numpy(drawn.good)
    candidates = np.geomspace(0.25, 4, 65)
    losses = [float(class_loss(logits[:, :-1] / float(t), labels, judge, head)) for t in candidates]
    return round(float(candidates[int(np.argmin(losses))]), 3)


def abstain_of(logits: torch.Tensor, drawn: Pictures) -> Abstain:
    """One half, or less where one half would turn away more than 2 % of the good pictures of a split."""
    good = logits[:, -1].sigmoid().numpy()[drawn.good]
    threshold = min(0.5, float(np.quantile(good, 0.02)))
    return Abstain(
        kind="assessability_output",
        threshold=round(threshold, 4),
        false_alarm=round(float((good < threshold).mean()), 4),
    )


def _card(recipe: Recipe, splits: dict[str, Pictures], logits: torch.Tensor, digests: dict[str, str]) -> ModelCard:
    data = tuple(
        {
            "split": name,
            "kind": "simulated by dicom_ai.simulate.phantom",
            "first_seed": getattr(recipe.phantoms, name).first_seed,
            "count": len(drawn.shown),
            "digest": drawn.digest,
        }
        for name, drawn in splits.items()
    )
    return ModelCard(
        name=recipe.name,
        version=recipe.version,
        task=recipe.task,
        grade="demonstration",
        network=recipe.network,
        input=recipe.input,
        crop=recipe.crop,
        classes=recipe.classes,
        head=recipe.head,
        calibration=Calibration(
            kind="temperature", temperature=temperature_of(logits, splits["validation"], recipe.head)
        ),
        abstain=abstain_of(logits, splits["validation"]),
        map=Map(layer=FrameClassifier.map_layer, kind="class_activation"),
        pooling=recipe.pooling,
        vectors=Vectors(tolerance=TOLERANCE),
        data=data,
        metrics=(),
        intended_use=recipe.intended_use,
        digests=digests,
        licence="Apache-2.0",
    )


def readme(card: ModelCard) -> str:
    """The model card as a page for people."""
    classes = "\n".join(
        f"| {c.id} | {c.meaning.en} | {c.meaning.zh} | {c.code.value} ({c.code.scheme}) | {c.threshold} |"
        for c in card.classes
    )
    data = "\n".join(
        f"- {d['split']}: {d['count']} pictures, {d['kind']}, seeds from {d['first_seed']}" for d in card.data
    )
    metrics = "\n".join(_figures(m) for m in card.metrics)
    return f"""# {card.name} {card.version}

**Grade: {card.grade}.** {card.intended_use}

Task `{card.task}`; {card.network["name"]}, random start; input {card.input.size} x {card.input.size} grey; {card.head}
head; licence {card.licence}.

| class | meaning | 含义 | code | present from |
|---|---|---|---|---|
{classes}

Pictures whose assessability is under {card.abstain.threshold} are Indeterminate ({card.abstain.false_alarm:.1%} of good
validation pictures). Frames become a clip by `{card.pooling.frame_to_clip}`, clips a study by
`{card.pooling.clip_to_study}`. Calibration: {card.calibration.kind}, {card.calibration.temperature}.

## Data

{data}

## Figures

{metrics}

The figures say how the software works on simulated pictures. They say nothing about patients.
"""


def _figures(metrics: dict[str, Any]) -> str:
    title = f"### {str(metrics['data']).capitalize()}"
    return "\n".join([title, "", *(f"- {name}: {value}" for name, value in metrics.items() if name != "data"), ""])
