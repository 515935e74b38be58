"""The figures count what they say: a classifier that looks at the sign does well, one that does not is found out."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from dicom_ai.classify.scored import Scored
from dicom_ai.finding import FrameScore, Rules
from dicom_ai.kept import CropOutcome, Kept
from dicom_ai.simulate import phantom
from dicom_ai.simulate.screen import sector_size
from models.preprocess import Letterbox
from train.measure import Case, case_of, measure, screen_case

SIZE = 64
RULES = Rules(("a_lines", "b_lines"), (0.5, 0.5), "sigmoid", "top_third_mean", "max", 0.5)


@dataclass
class Pretender:
    """Calls `a_lines` when a bright patch is there (or always); heat where it is told; turns black away."""

    at: tuple[int, int] = (2, 2)
    always: bool = False
    rules: Rules = RULES

    @property
    def card(self) -> Any:
        return type("Card", (), {"class_ids": RULES.class_ids})

    def score(self, kept: Kept) -> Scored:
        picture = kept.frames[0, :, :, 0]
        seen = self.always or (picture > 240).sum() > 50
        maps = np.zeros((1, 2, 8, 8), np.float32)
        maps[0, 0, self.at[0], self.at[1]] = 1
        frame = FrameScore(1, (0.9 if seen else 0.1, 0.2), 0.9 if picture.any() else 0.1)
        return Scored((frame,), maps, Letterbox.fit(SIZE, SIZE, SIZE), np.ones((SIZE, SIZE), np.bool_))


def case(*, sign: bool = True, good: bool = True) -> Case:
    twin = np.full((SIZE, SIZE), 100 if good else 0, np.uint8)
    shown, mask = twin.copy(), np.zeros((SIZE, SIZE), np.bool_)
    mask[12:28, 12:28] = sign
    shown[mask] = 250
    kept = Kept(shown[None, :, :, None], (1,), CropOutcome("cropped", None, SIZE, SIZE, 1, box=(0, 0, SIZE, SIZE)))
    labels = frozenset({"a_lines"} if sign else ())
    return Case(kept, labels, good, {"a_lines": mask} if sign else {}, twin if sign else None)


def test_a_classifier_that_looks_at_the_sign() -> None:
    figures = measure(Pretender(), [case(), case(), case(sign=False), case(sign=False, good=False)])  # type: ignore[arg-type]
    assert figures == {
        "n_good": 3,
        "n_bad": 1,
        "best_class": 1.0,
        "states": 1.0,
        "present": 1.0,
        "peak_inside": 1.0,
        "flips_twin": 1.0,
        "flips_grey": 1.0,
        "turned_away": 1.0,
        "false_alarm": 0.0,
    }


def test_a_classifier_that_looks_elsewhere_is_found_out() -> None:
    figures = measure(Pretender(at=(6, 6), always=True), [case(), case(sign=False)])  # type: ignore[arg-type]
    assert figures["peak_inside"] == 0.0
    assert figures["flips_twin"] == figures["flips_grey"] == 0.0
    assert figures["states"] == 0.75
    assert figures["turned_away"] is None


def test_a_good_picture_turned_away_is_a_false_alarm_and_no_right_answer() -> None:
    black = case(sign=False)
    black = Case(Kept(black.kept.frames * 0, (1,), black.kept.outcome), frozenset(), True, {}, None)
    figures = measure(Pretender(), [black])  # type: ignore[arg-type]
    assert figures["false_alarm"] == 1.0
    assert figures["states"] == 0.0


@pytest.mark.parametrize("layout", ["other-vendor", "logiq-e9-still"])
def test_a_screen_is_cropped_to_its_sector(layout: str) -> None:
    drawn = phantom.lung(31, labels=["consolidation"], size=sector_size(layout))
    found = screen_case(drawn, layout, good=True)
    assert found is not None
    pixels = found.kept.frames[0, :, :, 0]
    assert pixels.shape == found.signs["consolidation"].shape
    assert (pixels > 0).sum() > 0.6 * drawn.sector_mask.sum()
    assert found.twin is not None
    outside = ~found.signs["consolidation"]
    assert np.array_equal(pixels[outside], found.twin[outside])
    assert (pixels != found.twin).any()


def test_a_case_keeps_what_the_eroded_sector_holds() -> None:
    drawn = phantom.uterus(3, label="endometrial_polyp", size=(480, 640))
    found = case_of(drawn, good=True, erode_px=4)
    assert 0.9 * drawn.sector_mask.sum() < (found.kept.frames > 0).sum() <= drawn.sector_mask.sum()
    assert found.signs["endometrial_polyp"].any()
