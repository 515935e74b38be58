"""The words of a capture: the warning, then whose heat is drawn, how probable each class is, and the colour bar.

What this is not: where they stand (`band`) or the pixels of the scan (`overlay`).
"""

from collections.abc import Sequence

from dicom_ai.finding import Finding
from dicom_ai.report.band import Block
from dicom_ai.report.code import STATES, class_terms
from dicom_ai.report.content import Analysis
from dicom_ai.report.rendering import colours
from dicom_ai.report.wording import say

_AMBER = (255, 191, 0)
_WHITE = (255, 255, 255)


def legend(
    analysis: Analysis,
    findings: Sequence[Finding],
    probabilities: Sequence[float],
    *,
    class_id: str | None,
    is_assessable: bool,
) -> list[Block]:
    """The blocks of one image's capture, the warning first.

    Args:
        analysis: who says it, in which language.
        findings: of the study, in the card's order.
        probabilities: of this image, 0..1, same order.
        class_id: whose heat is drawn, None when none is.
        is_assessable: whether the model says anything about this image.
    """
    language, warning = analysis.language, _warning(analysis)
    numbers = [
        say("class", language, name=class_terms(f.class_id).name(language), percent=100 * p)
        for f, p in zip(findings, probabilities, strict=True)
    ]
    if not is_assessable:
        return [warning, Block((say("not_assessable", language),), _WHITE)]
    if class_id is None:
        return [warning, Block((say("no_heat", language), *numbers), _WHITE)]
    index = [f.class_id for f in findings].index(class_id)
    heat = say(
        "heat",
        language,
        name=class_terms(class_id).name(language),
        percent=100 * probabilities[index],
        state=STATES[findings[index].state].meaning(language).lower(),
    )
    others = [number for n, number in enumerate(numbers) if n != index]
    bar = (say("low", language), colours(analysis.rendering.colours), say("high", language))
    return [warning, Block((*heat.split("|"), *others), _WHITE, bar=bar)]


def plain_legend(analysis: Analysis) -> list[Block]:
    """The blocks of the same picture without heat that stands beside the heated one."""
    return [_warning(analysis), Block((say("plain", analysis.language),), _WHITE)]


def _warning(analysis: Analysis) -> Block:
    said = tuple(part.strip() for part in say("band", analysis.language).replace(" - ", " -|").split("|"))
    if analysis.model.grade == "demonstration":
        said = (say("band_demonstration", analysis.language) + " -", *said)
    return Block(said, _AMBER, " ")
