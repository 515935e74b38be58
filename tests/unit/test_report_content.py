import dataclasses

import pytest

from dicom_ai.finding import Finding, FrameScore, ImageScore, Rules, State
from dicom_ai.reasons import REASONS
from dicom_ai.report.content import (
    ModelFacts,
    Reference,
    ReportContent,
    Skipped,
    heat_classes,
    key_frames,
    shown_classes,
)
from tests.builders_report import LUNG, lung, source, uterus

RULES = Rules(LUNG, (0.5,) * 4, "sigmoid", "top_third_mean", "max", 0.5)


def clip(*rows: tuple[float, ...], assessable: bool = True) -> ImageScore:
    frames = tuple(FrameScore(5 * n + 1, row, 0.9) for n, row in enumerate(rows))
    pooled = tuple(max(column) for column in zip(*rows, strict=True))
    return ImageScore("1.2", frames, pooled, assessable)


def findings(*states: State) -> list[Finding]:
    return [Finding(c, 0.9 if s is State.PRESENT else 0.1, s, 0.5) for c, s in zip(LUNG, states, strict=True)]


PRESENT, ABSENT, UNSURE = State.PRESENT, State.ABSENT, State.INDETERMINATE


@pytest.mark.parametrize("make", [lung, uterus])
def test_content_survives_json(make):
    content = make([source(1), source(2, frames=30)])
    reason = next(iter(REASONS))
    content = dataclasses.replace(
        content, skipped=(Skipped("1.2", "1.3", reason),), predecessor=Reference("1.4", "1.5", "1.6")
    )
    back = ReportContent.from_json(content.to_json())
    assert back == content
    assert back.to_json() == content.to_json()
    assert hash(back) == hash(content)


def test_json_that_lacks_something_is_refused():
    with pytest.raises(ValueError, match="findings"):
        ReportContent.from_json(lung([source(1)]).to_json().replace('"findings"', '"found"'))


def test_shown_are_the_classes_present_and_over_threshold_strongest_first():
    study = findings(PRESENT, PRESENT, ABSENT, PRESENT)
    assert shown_classes((0.6, 0.9, 0.95, 0.4), study) == ("b_lines", "a_lines")


def test_key_frames_carry_each_class_present():
    image = clip((0.1, 0.6, 0.0, 0.0), (0.1, 0.9, 0.0, 0.0), (0.8, 0.2, 0.0, 0.0))
    assert key_frames(image, findings(PRESENT, PRESENT, ABSENT, ABSENT), RULES) == (6, 11)


def test_a_frame_over_threshold_is_no_key_frame_of_a_class_the_study_lacks():
    image = clip((0.1, 0.6, 0.0, 0.0), (0.1, 0.2, 0.0, 0.7))
    assert key_frames(image, findings(ABSENT, PRESENT, ABSENT, ABSENT), RULES) == (1,)


def test_an_image_that_shows_nothing_still_has_a_key_frame():
    image = clip((0.1, 0.2, 0.0, 0.0), (0.1, 0.4, 0.0, 0.0))
    assert key_frames(image, findings(ABSENT, ABSENT, ABSENT, ABSENT), RULES) == (6,)
    assert heat_classes(image, findings(ABSENT, ABSENT, ABSENT, ABSENT), RULES) == (None,)


def test_heat_is_drawn_for_the_classes_shown_only():
    image = clip((0.1, 0.6, 0.0, 0.0), (0.8, 0.2, 0.0, 0.9))
    assert heat_classes(image, findings(PRESENT, PRESENT, ABSENT, ABSENT), RULES) == ("a_lines", "b_lines")
    unusable = dataclasses.replace(image, is_assessable=False)
    assert heat_classes(unusable, findings(UNSURE, UNSURE, UNSURE, UNSURE), RULES) == (None,)


def test_normal_is_never_drawn():
    ids = ("endometrial_polyp", "submucous_fibroid", "normal")
    rules = Rules(ids, (0.5,) * 3, "softmax", "mean", "least_normal", 0.5)
    study = [Finding(c, p, s, 0.5) for c, p, s in zip(ids, (0.1, 0.1, 0.8), (ABSENT, ABSENT, PRESENT), strict=True)]
    image = ImageScore("1.2", (FrameScore(1, (0.1, 0.1, 0.8), 0.9),), (0.1, 0.1, 0.8), True)
    assert heat_classes(image, study, rules) == (None,)


def test_model_facts_are_read_from_a_card(tmp_path):
    from models.card import ModelCard

    card = ModelCard.model_validate(
        {
            "name": "demo-lung", "version": "1.0", "task": "lung-signs", "grade": "demonstration",
            "network": {"name": "mobilenet_v2"},
            "input": {"size": 224, "channels": 1, "mean": [0.5], "std": [0.2]},
            "crop": {"frames": {"limit": 16}},
            "classes": [
                {"id": "b_lines", "code": {"value": "BLINE", "scheme": "99DICOMAI", "meaning": "B-lines"},
                 "meaning": {"en": "B-lines", "zh": "B线"}, "threshold": 0.42},
            ],
            "head": "sigmoid", "calibration": {},
            "abstain": {"kind": "assessability_output", "threshold": 0.3, "false_alarm": 0.02},
            "map": {"layer": "features", "kind": "class_activation"},
            "pooling": {"frame_to_clip": "top_third_mean", "clip_to_study": "max"},
            "vectors": {"tolerance": 0.001}, "data": [], "metrics": [], "intended_use": "none",
            "digests": {"weights.safetensors": "w" * 64, "vectors.safetensors": "v" * 64}, "licence": "Apache-2.0",
        }
    )  # fmt: skip
    facts = ModelFacts.of(card, card.grade)
    assert facts.card_digest == card.digest
    assert facts.weights_digest == "w" * 64
    assert (facts.classes[0].id, facts.classes[0].value, facts.classes[0].threshold) == ("b_lines", "BLINE", 0.42)
    assert facts.assessable_from == 0.3
