"""What a model folder is worth on phantoms nobody trained on: answers, where the heat lies, blanked signs, abstention.

Everything runs through the classifier that serves. What this is not: a statement about patients.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from dicom_ai.classify.runtime import Classifier
from dicom_ai.crop.decision import decide
from dicom_ai.crop.emit import kept
from dicom_ai.crop.polygon import box_of, polygons_of
from dicom_ai.crop.region import RegionVote
from dicom_ai.crop.support import picture_support
from dicom_ai.finding import State, image_score, study_findings
from dicom_ai.kept import CropOutcome, Kept, mask_of
from dicom_ai.simulate.phantom import Phantom
from dicom_ai.simulate.screen import Header, screen, sector_size
from train.phantoms import SHAPES, SIZES, draw
from train.recipe import Recipe

Mask = npt.NDArray[np.bool_]
Grey = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Case:
    """One picture as the crop hands it over.

    Attributes:
        kept: its pixels.
        labels: class ids drawn; empty for a picture without a sign.
        good: whether it may be judged.
        signs: class id -> bool (h, w) on the grid of the crop.
        twin: uint8 (h, w), the picture without its signs; None when there are none.
    """

    kept: Kept
    labels: frozenset[str]
    good: bool
    signs: dict[str, Mask]
    twin: Grey | None


def case_of(drawn: Phantom, *, good: bool, erode_px: int = 3) -> Case:
    """A phantom cropped to its sector less `erode_px` pixels."""
    kernel = np.ones((2 * erode_px + 1,) * 2, np.uint8)
    keep = cv2.erode(drawn.sector_mask.astype(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0) > 0
    (rows, columns), polygons = keep.shape, polygons_of(keep)
    box = box_of(mask_of(polygons, rows, columns))
    outcome = CropOutcome("cropped", None, rows, columns, len(drawn.frames), polygons, box=box)
    return _case(drawn, outcome, good)


def cases(recipe: Recipe, first_seed: int, each: int) -> Iterator[Case]:
    """`each` cases of every kind of picture the recipe knows, seeds from `first_seed` on."""
    kinds = [*(f"good:{kind}" for kind in recipe.phantoms.good), *recipe.phantoms.bad]
    for seed, kind in enumerate((kind for kind in kinds for _ in range(each)), start=first_seed):
        drawn = draw(recipe.task, kind, seed, size=SIZES[seed % len(SIZES)], shape=SHAPES[recipe.task])
        yield case_of(drawn, good=kind.startswith("good:"), erode_px=seed % 7)


def screen_case(drawn: Phantom, layout: str, *, good: bool) -> Case | None:
    """A phantom on a scanner's screen, cropped as the service crops it; None when the crop is not sure."""
    shown = screen(drawn, layout, Header())
    x0, y0, x1, y1 = shown.region
    vote = RegionVote(((x0, y0, x1 + 1, y1 + 1),), None, 1)
    support = picture_support(shown.frames.max(axis=0))
    rows, columns = shown.sector_mask.shape
    outcome = decide(vote, None, support, size=(rows, columns), frames=len(shown.frames))
    if outcome.box is None:
        return None
    whole = replace(drawn, frames=shown.frames, twin=shown.twin, signs=shown.signs)
    return _case(whole, outcome, good)


def _case(drawn: Phantom, outcome: CropOutcome, good: bool) -> Case:
    """`drawn` has the size of the frame that `outcome` is about."""
    assert outcome.box is not None  # noqa: S101 - a cropped outcome has one
    x0, y0, x1, y1 = outcome.box
    inside = mask_of(outcome.keep, outcome.rows, outcome.columns)[y0:y1, x0:x1]
    signs = {class_id: mask[y0:y1, x0:x1] & inside for class_id, mask in drawn.signs.items()}
    twin = None if drawn.twin is None else kept([drawn.twin[0][..., None]], [1], outcome).frames[0, :, :, 0]
    pixels = kept(list(drawn.frames[..., None]), range(1, len(drawn.frames) + 1), outcome)
    return Case(pixels, drawn.labels, good, signs, twin)


def screen_cases(recipe: Recipe, layout: str, first_seed: int, each: int) -> Iterator[Case]:
    """`each` screens of every kind of picture the recipe knows; those the crop refuses are left out."""
    shape = SHAPES[recipe.task]
    kinds = [*(f"good:{kind}" for kind in recipe.phantoms.good), *recipe.phantoms.bad]
    for seed, kind in enumerate((kind for kind in kinds for _ in range(each)), start=first_seed):
        drawn = draw(recipe.task, kind, seed, size=sector_size(layout), shape=shape)
        case = screen_case(drawn, layout, good=kind.startswith("good:"))
        if case is not None:
            yield case


def measure(classifier: Classifier, found: Iterable[Case]) -> dict[str, Any]:
    """Figures over cases; a share is None when nothing counted.

    Returns:
        n_good, n_bad; `best_class`: share of pictures with one label whose most probable class is it; `states`:
        share of (picture, class) with the right state; `present`, share of drawn signs called present;
        `peak_inside`: share of drawn signs that carry their map's peak; `flips_twin`, `flips_grey`: share of signs
        called present that are not once blanked; `turned_away`: share of bad pictures that are Indeterminate;
        `false_alarm`: share of good ones that are.
    """
    hits: dict[str, list[bool]] = {name: [] for name in _FIGURES}
    for case in found:
        if not case.good:
            hits["turned_away"].append(_states(classifier, case.kept)[1])
            continue
        _judge(classifier, case, hits)
    shares = {name: round(float(np.mean(values)), 4) if values else None for name, values in hits.items()}
    return {"n_good": len(hits["false_alarm"]), "n_bad": len(hits["turned_away"]), **shares}


_FIGURES = (
    "best_class",
    "states",
    "present",
    "peak_inside",
    "flips_twin",
    "flips_grey",
    "turned_away",
    "false_alarm",
)


def _judge(classifier: Classifier, case: Case, hits: dict[str, list[bool]]) -> None:
    ids = classifier.card.class_ids
    states, turned_away, probabilities = _states(classifier, case.kept)
    hits["false_alarm"].append(turned_away)
    if len(case.labels) == 1:
        hits["best_class"].append(ids[int(np.argmax(probabilities))] in case.labels)
    hits["states"] += [(state is State.PRESENT) == (c in case.labels) and state is not State.INDETERMINATE
                       for c, state in zip(ids, states, strict=True)]  # fmt: skip
    scored = classifier.score(case.kept)
    for class_id, mask in case.signs.items():
        k = ids.index(class_id)
        hits["present"].append(states[k] is State.PRESENT)
        heat = scored.heat(k)[0]
        hits["peak_inside"].append(bool(mask.flat[int(heat.argmax())]) and bool(heat.any()))
        if states[k] is State.PRESENT:
            for name, blanked in (("flips_twin", case.twin), ("flips_grey", _mean_grey(case, mask))):
                hits[name].append(_states(classifier, _filled(case, class_id, blanked))[0][k] is not State.PRESENT)


def _states(classifier: Classifier, kept: Kept) -> tuple[tuple[State, ...], bool, tuple[float, ...]]:
    image = image_score("", classifier.score(kept).frames, classifier.rules)
    states = tuple(finding.state for finding in study_findings([image], classifier.rules))
    return states, not image.is_assessable, image.probabilities


def _filled(case: Case, class_id: str, fill: Grey | None) -> Kept:
    shown = case.kept.frames[0, :, :, 0]
    mask = case.signs[class_id].copy()
    for other, there in case.signs.items():
        if other != class_id:
            mask &= ~there
    filled = np.where(mask, shown if fill is None else fill, shown).astype(np.uint8)
    return Kept(filled[None, :, :, None], case.kept.frame_numbers[:1], case.kept.outcome)


def _mean_grey(case: Case, mask: Mask) -> Grey:
    shown = case.kept.frames[0, :, :, 0]
    near = (cv2.dilate(mask.astype(np.uint8), np.ones((31, 31), np.uint8)) > 0) & ~mask & (shown > 0)
    return np.full_like(shown, round(float(shown[near].mean())) if near.any() else 0)
