"""Frame -> clip -> study by the stated rules; what cannot be judged is never Absent."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_ai.finding import (
    Finding,
    FrameScore,
    ImageScore,
    Rules,
    State,
    image_score,
    key_frame,
    states_of,
    study_findings,
)

LUNG = Rules(
    class_ids=("a_lines", "b_lines"),
    thresholds=(0.5, 0.6),
    head="sigmoid",
    frame_to_clip="top_third_mean",
    clip_to_study="max",
    assessable_from=0.5,
)
UTERUS = Rules(
    class_ids=("endometrial_polyp", "submucous_fibroid", "normal"),
    thresholds=(0.5, 0.5, 0.5),
    head="softmax",
    frame_to_clip="mean",
    clip_to_study="least_normal",
    assessable_from=0.5,
)
probabilities = st.floats(0, 1)


def frame(number: int, *values: float, assessability: float = 1.0) -> FrameScore:
    return FrameScore(number, values, assessability)


def image(*values: float, is_assessable: bool = True) -> ImageScore:
    return ImageScore("1.2", (FrameScore(1, values, float(is_assessable)),), values, is_assessable)


def frames_of(n_classes: int) -> st.SearchStrategy[list[FrameScore]]:
    scores = st.tuples(st.tuples(*[probabilities] * n_classes), probabilities)
    return st.lists(scores, min_size=1, max_size=20).map(
        lambda rows: [FrameScore(number, values, sure) for number, (values, sure) in enumerate(rows, 1)]
    )


def softmax_frames() -> st.SearchStrategy[list[FrameScore]]:
    logits = st.tuples(*[st.floats(-8, 8)] * 3)

    def distribution(values: tuple[float, ...]) -> tuple[float, ...]:
        exps = [math.exp(value) for value in values]
        return tuple(value / sum(exps) for value in exps)

    rows = st.lists(st.tuples(logits.map(distribution), probabilities), min_size=1, max_size=12)
    return rows.map(lambda found: [FrameScore(n, values, sure) for n, (values, sure) in enumerate(found, 1)])


def test_top_third_mean_takes_the_highest_third_of_each_class_for_itself():
    frames = [frame(n, value, 1 - value) for n, value in enumerate((0.1, 0.9, 0.2, 0.8, 0.3, 0.4), 1)]
    assert image_score("1.2", frames, LUNG).probabilities == pytest.approx((0.85, 0.85))


@pytest.mark.parametrize(("n_frames", "n_taken"), [(1, 1), (2, 1), (3, 1), (4, 2), (6, 2), (7, 3)])
def test_the_third_is_rounded_up(n_frames, n_taken):
    frames = [frame(n, n / 10, 0.0) for n in range(1, n_frames + 1)]
    highest = [n / 10 for n in range(n_frames - n_taken + 1, n_frames + 1)]
    assert image_score("1.2", frames, LUNG).probabilities[0] == pytest.approx(sum(highest) / n_taken)


def test_frames_that_cannot_be_judged_do_not_speak():
    frames = [frame(1, 0.2, 0.2), frame(2, 0.99, 0.99, assessability=0.49)]
    assert image_score("1.2", frames, LUNG).probabilities == (0.2, 0.2)


@pytest.mark.parametrize(("n_good", "expected"), [(0, False), (1, False), (2, True), (4, True)])
def test_an_image_is_assessable_when_at_least_half_of_its_frames_are(n_good, expected):
    frames = [frame(n, 0.5, 0.5, assessability=0.9 if n <= n_good else 0.1) for n in range(1, 5)]
    assert image_score("1.2", frames, LUNG).is_assessable is expected


def test_a_frame_at_the_threshold_is_assessable():
    assert image_score("1.2", [frame(1, 0.5, 0.5, assessability=0.5)], LUNG).is_assessable


def test_threshold_zero_switches_abstention_off():
    rules = replace(LUNG, assessable_from=0.0)
    assert image_score("1.2", [frame(1, 0.5, 0.5, assessability=0.0)], rules).is_assessable


@given(frames_of(2))
def test_a_pooled_probability_lies_between_the_frames(frames):
    pooled = image_score("1.2", frames, LUNG).probabilities
    for index, value in enumerate(pooled):
        column = [found.probabilities[index] for found in frames]
        assert min(column) - 1e-12 <= value <= max(column) + 1e-12


@given(frames_of(2), st.randoms(use_true_random=False))
def test_the_order_of_frames_does_not_matter(frames, chance):
    shuffled = chance.sample(frames, len(frames))
    pooled, again = (image_score("1.2", found, LUNG).probabilities for found in (frames, shuffled))
    assert pooled == pytest.approx(again)


@given(softmax_frames())
def test_a_softmax_distribution_stays_one_up_to_the_study(frames):
    scored = image_score("1.2", frames, UTERUS)
    findings = study_findings([scored, image(0.1, 0.1, 0.8)], UTERUS)
    assert sum(scored.probabilities) == pytest.approx(1)
    assert sum(finding.probability for finding in findings) == pytest.approx(1)


def test_a_sigmoid_class_is_present_from_its_own_threshold():
    assert states_of((0.5, 0.59), LUNG) == (State.PRESENT, State.ABSENT)
    assert states_of((0.49, 0.6), LUNG) == (State.ABSENT, State.PRESENT)


def test_two_signs_may_be_present_at_once():
    assert states_of((0.9, 0.9), LUNG) == (State.PRESENT, State.PRESENT)


def test_a_softmax_head_says_exactly_one_class():
    assert states_of((0.2, 0.7, 0.1), UTERUS) == (State.ABSENT, State.PRESENT, State.ABSENT)


def test_a_softmax_head_below_its_threshold_says_nothing():
    assert states_of((0.4, 0.35, 0.25), UTERUS) == (State.INDETERMINATE,) * 3


@given(st.tuples(probabilities, probabilities, probabilities))
def test_a_softmax_head_never_says_two_classes_nor_none_absent(values):
    states = states_of(values, UTERUS)
    assert states.count(State.PRESENT) == 1 or states == (State.INDETERMINATE,) * 3


def test_a_probability_of_another_number_of_classes_is_refused():
    with pytest.raises(ValueError, match="zip"):
        states_of((0.5,), LUNG)


def test_max_takes_the_highest_image_per_class():
    findings = study_findings([image(0.9, 0.1), image(0.2, 0.7)], LUNG)
    assert [(finding.probability, finding.state) for finding in findings] == [
        (0.9, State.PRESENT),
        (0.7, State.PRESENT),
    ]


def test_least_normal_lets_one_image_speak():
    findings = study_findings([image(0.3, 0.1, 0.6), image(0.6, 0.3, 0.1), image(0.0, 0.0, 1.0)], UTERUS)
    assert [finding.probability for finding in findings] == [0.6, 0.3, 0.1]
    assert [finding.state for finding in findings] == [State.PRESENT, State.ABSENT, State.ABSENT]


def test_an_image_that_cannot_be_judged_does_not_speak_for_the_study():
    findings = study_findings([image(0.99, 0.99, is_assessable=False), image(0.1, 0.2)], LUNG)
    assert [finding.probability for finding in findings] == [0.1, 0.2]
    assert {finding.state for finding in findings} == {State.ABSENT}


@given(st.lists(st.tuples(probabilities, probabilities), min_size=1, max_size=5))
def test_a_study_without_an_assessable_image_is_indeterminate_never_absent(rows):
    findings = study_findings([image(*row, is_assessable=False) for row in rows], LUNG)
    assert {finding.state for finding in findings} == {State.INDETERMINATE}


def test_a_study_without_images_is_indeterminate_with_probability_zero():
    assert study_findings([], LUNG) == (
        Finding("a_lines", 0.0, State.INDETERMINATE, 0.5),
        Finding("b_lines", 0.0, State.INDETERMINATE, 0.6),
    )


def test_findings_come_in_the_order_of_the_card():
    assert [finding.class_id for finding in study_findings([image(0.1, 0.9)], LUNG)] == ["a_lines", "b_lines"]


def test_the_key_frame_is_the_highest_of_its_class():
    scored = image_score("1.2", [frame(1, 0.2, 0.9), frame(5, 0.8, 0.1)], LUNG)
    assert [key_frame(scored, index, LUNG).frame_number for index in (0, 1)] == [5, 1]


def test_of_equal_frames_the_earliest_is_the_key_frame():
    scored = image_score("1.2", [frame(9, 0.8, 0.1), frame(5, 0.8, 0.1), frame(7, 0.8, 0.1)], LUNG)
    assert key_frame(scored, 0, LUNG).frame_number == 5


def test_a_frame_that_cannot_be_judged_is_no_key_frame_while_another_can():
    blind = frame(1, 0.99, 0.99, assessability=0.0)
    assert key_frame(image_score("1.2", [blind, frame(2, 0.5, 0.5)], LUNG), 0, LUNG).frame_number == 2
    assert key_frame(image_score("1.2", [blind], LUNG), 0, LUNG).frame_number == 1


@pytest.mark.parametrize("field", ["frame_to_clip", "clip_to_study"])
def test_an_unknown_rule_is_refused_by_its_name(field):
    rules = replace(LUNG, **{field: "median"})
    with pytest.raises(ValueError, match=f"{field} = 'median'"):
        study_findings([image_score("1.2", [frame(1, 0.5, 0.5)], rules)], rules)


def test_the_row_is_that_of_the_contract():
    row = Finding("b_lines", 0.123456, State.PRESENT, 0.1).row()
    assert row == {"class": "b_lines", "probability": 0.1235, "state": "present", "threshold": 0.1}
