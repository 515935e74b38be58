"""The model card: strict, frozen, readable back, and named by a digest that any statement changes."""

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.card import ModelCard, read_card, write_card


def statement(class_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": class_id,
        "code": {"value": class_id.upper()[:16], "scheme": "99DICOMAI", "meaning": class_id},
        "meaning": {"en": class_id, "zh": "B线"},
        "threshold": 0.5,
        **changes,
    }


CARD: dict[str, Any] = {
    "name": "demo-lung",
    "version": "1",
    "task": "lung-signs",
    "grade": "demonstration",
    "network": {"name": "mobilenet_v2", "width": 1.0},
    "input": {"size": 224, "channels": 3, "mean": [0.4, 0.4, 0.4], "std": [0.2, 0.2, 0.2]},
    "crop": {"keep": "scan_area", "fill": 0, "frames": {"rule": "even_stride", "limit": 16}},
    "classes": [statement("a_lines"), statement("b_lines")],
    "head": "sigmoid",
    "calibration": {"kind": "temperature", "temperature": 1.3},
    "abstain": {"kind": "assessability_output", "threshold": 0.5, "false_alarm": 0.01},
    "map": {"layer": "features", "kind": "class_activation"},
    "pooling": {"frame_to_clip": "top_third_mean", "clip_to_study": "max"},
    "vectors": {"tolerance": 1e-3},
    "data": [{"name": "phantom", "seed": 1}],
    "metrics": [{"name": "auroc", "value": 0.9, "low": 0.85, "high": 0.95}],
    "intended_use": "Demonstration on phantoms only.",
    "digests": {"weights.safetensors": "ab" * 32, "vectors.safetensors": "cd" * 32},
    "parent": None,
    "licence": "Apache-2.0",
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The card with one statement replaced: `classes.0.threshold`."""
    raw = deepcopy(CARD)
    *above, last = (int(key) if key.isdigit() else key for key in path.split("."))
    at: Any = raw
    for key in above:
        at = at[key]
    at[last] = value
    return raw


def test_a_card_survives_its_folder(tmp_path):
    card = ModelCard.model_validate(CARD)
    write_card(card, tmp_path)
    assert read_card(tmp_path) == card
    assert read_card(tmp_path).digest == card.digest


def test_the_file_is_readable_by_people(tmp_path):
    write_card(ModelCard.model_validate(CARD), tmp_path)
    text = (tmp_path / "card.json").read_text(encoding="utf-8")
    assert text.startswith('{\n  "schema_version": 1,\n  "name": "demo-lung",')
    assert "B线" in text
    assert text.endswith("}\n")


def test_class_ids_come_in_the_order_of_the_outputs():
    assert ModelCard.model_validate(CARD).class_ids == ("a_lines", "b_lines")


CHANGES = [
    ("name", "other"),
    ("version", "2"),
    ("grade", "research"),
    ("network.width", 0.5),
    ("input.mean", [0.4, 0.4, 0.5]),
    ("input.grey_table", list(range(256))),
    ("crop.frames.limit", 8),
    ("classes", [statement("b_lines"), statement("a_lines")]),
    ("classes.0.threshold", 0.51),
    ("classes.0.meaning.zh", "A线"),
    ("calibration.temperature", 1.4),
    ("abstain.threshold", 0.6),
    ("pooling.frame_to_clip", "mean"),
    ("digests", {"weights.safetensors": "ff" * 32, "vectors.safetensors": "cd" * 32}),
    ("metrics.0.value", 0.91),
    ("licence", "MIT"),
]


@pytest.mark.parametrize(("path", "value"), CHANGES)
def test_the_digest_changes_with_every_statement(path, value):
    assert ModelCard.model_validate(changed(path, value)).digest != ModelCard.model_validate(CARD).digest


def test_no_two_changes_share_a_digest():
    digests = {ModelCard.model_validate(changed(path, value)).digest for path, value in CHANGES}
    assert len(digests) == len(CHANGES)


@given(st.permutations(sorted(CARD)))
def test_the_digest_does_not_depend_on_the_order_of_keys_or_on_layout(keys):
    text = json.dumps({key: CARD[key] for key in keys}, indent=len(keys[0]))
    assert ModelCard.model_validate_json(text).digest == ModelCard.model_validate(CARD).digest


def test_a_default_stated_or_left_out_is_the_same_card():
    raw = deepcopy(CARD)
    del raw["crop"]["fill"], raw["parent"]
    assert ModelCard.model_validate(raw).digest == ModelCard.model_validate(CARD).digest


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("schema_version", 2),
        ("task", "thyroid"),
        ("grade", "toy"),
        ("head", "linear"),
        ("nmae", "demo-lung"),
        ("input.sizes", 224),
        ("input.size", 16),
        ("input.channels", 2),
        ("input.mean", [0.4]),
        ("input.std", [0.2, 0.2, 0.0]),
        ("input.std", [0.2, 0.2, float("nan")]),
        ("input.grey_table", [0] * 255),
        ("input.grey_table", [*range(255), 256]),
        ("crop.frames.limit", 0),
        ("crop.keep", "whole_frame"),
        ("classes", []),
        ("classes", [statement("a_lines"), statement("a_lines")]),
        ("classes.0.threshold", 0.0),
        ("classes.0.threshold", 1.0),
        ("classes.0.threshold", float("nan")),
        ("classes.0.code.value", "x" * 17),
        ("classes.0.code.meaning", "x" * 65),
        ("calibration.temperature", 0.0),
        ("calibration.temperature", float("inf")),
        ("abstain.threshold", 1.1),
        ("pooling.clip_to_study", "median"),
        ("pooling.clip_to_study", "least_normal"),
        ("vectors.tolerance", 0.0),
        ("vectors.tolerance", float("inf")),
        ("digests", {"weights.safetensors": "ab" * 32}),
    ],
)
def test_a_card_that_states_something_else_is_refused(path, value):
    with pytest.raises(ValidationError):
        ModelCard.model_validate(changed(path, value))


@pytest.mark.parametrize("key", sorted(set(CARD) - {"parent"}))
def test_nothing_but_the_parent_may_be_left_unsaid(key):
    raw = deepcopy(CARD)
    del raw[key]
    with pytest.raises(ValidationError, match=key):
        ModelCard.model_validate(raw)


def test_least_normal_is_for_a_model_that_knows_normal():
    raw = changed("pooling", {"frame_to_clip": "mean", "clip_to_study": "least_normal"})
    raw["classes"].append(statement("normal"))
    assert ModelCard.model_validate(raw).class_ids[-1] == "normal"


def test_a_card_cannot_be_changed():
    card = ModelCard.model_validate(CARD)
    with pytest.raises(ValidationError, match="frozen"):
        card.grade = "clinical"
