"""A model folder small enough for tests: a random network whose card, weights and vectors agree."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from dicom_ai.kept import CropOutcome, Kept
from models import registry
from models.card import ModelCard, write_card
from models.weights import VECTORS, WEIGHTS, save_tensors

NETWORK = {"name": "mobilenet_v2", "n_classes": 2, "width_mult": 0.25, "last": 32}
SIZE = 64


def write_tiny_model(folder: Path, **changes: Any) -> ModelCard:
    """Write the folder; `changes` replace fields of the card as JSON values."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(1)
    arguments = dict(NETWORK)
    network = registry.build(arguments.pop("name"), **arguments).eval()
    shown = torch.randn(8, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        vectors = {"input": shown, "logits": network(shown)}
    digests = {
        WEIGHTS: save_tensors(network.state_dict(), folder / WEIGHTS),
        VECTORS: save_tensors(vectors, folder / VECTORS),
    }
    card = ModelCard.model_validate({**_card(), "digests": digests, **changes})
    write_card(card, folder)
    return card


def kept_pixels(frames: int = 1, height: int = 40, width: int = 60, seed: int = 0) -> Kept:
    """Random grey inside a triangle whose top lies at (130, 210) of a 400 x 500 frame."""
    outcome = CropOutcome(
        "cropped", None, 400, 500, frames,
        keep=(((130.0, 210.0), (100.0, 250.0), (160.0, 250.0)),),
        blanked=((120, 240, 140, 246),),
        box=(100, 210, 100 + width, 210 + height),
    )  # fmt: skip
    pixels = np.random.default_rng(seed).integers(1, 256, (frames, height, width, 1), np.uint8)
    return Kept(pixels, tuple(range(1, 2 * frames, 2)), outcome)


def _card() -> dict[str, Any]:
    one = {"code": {"value": "X", "scheme": "99DICOMAI", "meaning": "x"}, "meaning": {"en": "x", "zh": "x"}}
    return {
        "name": "tiny",
        "version": "0.1.0",
        "task": "lung-signs",
        "grade": "demonstration",
        "network": NETWORK,
        "input": {"size": SIZE, "channels": 1, "mean": [0.5], "std": [0.25]},
        "crop": {"frames": {"limit": 4}},
        "classes": [{"id": "a_lines", "threshold": 0.4, **one}, {"id": "b_lines", "threshold": 0.6, **one}],
        "head": "sigmoid",
        "calibration": {"kind": "temperature", "temperature": 2.0},
        "abstain": {"kind": "assessability_output", "threshold": 0.3, "false_alarm": 0.0},
        "map": {"layer": "features", "kind": "class_activation"},
        "pooling": {"frame_to_clip": "top_third_mean", "clip_to_study": "max"},
        "vectors": {"tolerance": 1e-3},
        "data": [],
        "metrics": [],
        "intended_use": "tests",
        "licence": "Apache-2.0",
    }
