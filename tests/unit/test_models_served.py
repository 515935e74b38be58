"""The classifier serves networks with and without assessability, and no card that says otherwise of its network."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dicom_ai.classify.runtime import Classifier
from dicom_ai.errors import CardMismatch
from models import registry
from models.card import ModelCard, read_card, write_card
from models.weights import VECTORS, WEIGHTS, save_tensors
from tests.unit.tiny_model import SIZE, kept_pixels, write_tiny_model

torch.set_num_threads(1)

NONE = {"kind": "none", "threshold": 0.0, "false_alarm": 0.0}


def write_small(folder: Path, *, with_assessability: bool, **changes: Any) -> ModelCard:
    """A folder of the small network, average and max pooling, whose digests are its own."""
    write_tiny_model(folder)
    arguments = {"name": "sonogram", "n_classes": 2, "width": 8, "with_assessability": with_assessability}
    torch.manual_seed(41)
    network = registry.build(**arguments).eval()
    shown = torch.randn(8, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(42))
    with torch.inference_mode():
        vectors = {"input": shown, "logits": network(shown)}
    digests = {
        WEIGHTS: save_tensors(network.state_dict(), folder / WEIGHTS),
        VECTORS: save_tensors(vectors, folder / VECTORS),
    }
    told = read_card(folder).model_dump(mode="json") | {"network": arguments, "digests": digests}
    card = ModelCard.model_validate(told | {"map": {"layer": "features", "kind": "grad_cam"}} | changes)
    write_card(card, folder)
    return card


def test_a_network_without_assessability_judges_every_frame(tmp_path: Path) -> None:
    write_small(tmp_path, with_assessability=False, abstain=NONE)
    scored = Classifier(tmp_path, device="cpu").score(kept_pixels(frames=2))
    assert [frame.assessability for frame in scored.frames] == [1.0, 1.0]
    assert [len(frame.probabilities) for frame in scored.frames] == [2, 2]
    assert scored.maps.shape == (2, 2, 4, 4)
    assert np.isfinite(scored.maps).all()


def test_a_network_with_assessability_may_abstain(tmp_path: Path) -> None:
    write_small(tmp_path, with_assessability=True)
    scored = Classifier(tmp_path, device="cpu").score(kept_pixels())
    assert 0 < scored.frames[0].assessability < 1


ONE = {
    "code": {"value": "X", "scheme": "99DICOMAI", "meaning": "x"},
    "meaning": {"en": "x", "zh": "x"},
    "threshold": 0.5,
}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "abstains by an assessability output, the network has none"),
        ({"abstain": NONE, "map": {"layer": "features", "kind": "class_activation"}}, "card says map"),
        ({"abstain": NONE, "map": {"layer": "features.3", "kind": "grad_cam"}}, "card says map"),
        ({"abstain": NONE, "classes": [{"id": "a_lines", **ONE}]}, "lists 1 classes, the network has 2"),
        (
            {"abstain": NONE, "input": {"size": SIZE, "channels": 3, "mean": [0.5] * 3, "std": [0.2] * 3}},
            "cannot be shown the card's input, 3 x 64 x 64",
        ),
    ],
    ids=["assessability", "map kind", "map layer", "classes", "channels"],
)
def test_a_card_that_says_something_else_of_its_network_is_refused(
    changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    write_small(tmp_path, with_assessability=False, **changes)
    with pytest.raises(CardMismatch, match=said):
        Classifier(tmp_path, device="cpu")
