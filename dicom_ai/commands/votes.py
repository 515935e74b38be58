"""What the witnesses said of an object, in words: region, layout, picture, and which thresholds were missed.

What this is not: the votes (`crop.decision`), or their picture (`crop.picture`).
"""

from collections.abc import Iterator, Mapping
from typing import Any

from dicom_ai.crop import decision
from dicom_ai.reasons import REASONS
from dicom_ai.store.layouts import number_of

_MEASURED = {
    "confidence": ("how well fitted shape and lit picture cover each other", decision.LEAST_CONFIDENCE, None),
    "inside": ("share of the picture inside the region", decision.LEAST_INSIDE, None),
    "covered": ("share of the region that is picture", decision.LEAST_COVERED, None),
    "seen": ("share of each edge at which the light ends", decision.LEAST_SEEN, None),
    "lopsided": ("difference of the lean of the two sides", None, decision.MOST_LOPSIDED),
    "steady": ("agreement of first, middle and last frame", decision.LEAST_STEADY, None),
    "stray": ("share of the picture outside of the layout", None, decision.MOST_STRAY),
    "alike": ("IoU of picture and layout; needed where no region is believed", decision.LEAST_ALIKE, None),
}
"""Measure -> what it is, and its least and most by `crop.decision`."""

_OF_APPROVED = ("stray", "alike")
"""Measures that count for an approved layout only; a published one is an outer bound."""


def votes_in_words(votes: Mapping[str, Any] | None) -> list[str]:
    """The votes of an outcome, a line for each thing said; the outcome's votes as they stand in the ledger."""
    if not votes or not any(votes.values()):
        return ["No witness was heard: the object was refused before."]
    text = votes.get("text")
    return [
        f"Region:  {_region(votes.get('regions'))}",
        f"Layout:  {_layout(votes.get('layout'))}",
        *_picture(votes.get("support"), is_approved=number_of(str(votes.get("layout"))) is not None),
        *([f"Text:    {_plain(text)}"] if text else []),
    ]


def _region(vote: Mapping[str, Any] | None) -> str:
    if vote is None:
        return "not read"
    if vote["reason"] is not None:
        reason = REASONS.get(vote["reason"])
        return f"{reason.meaning if reason else vote['reason']} ({vote['seen']} items in the sequence)"
    boxes = ", ".join("x {0}-{2}, y {1}-{3}".format(*box) for box in vote["boxes"])
    return f"{boxes} (half open, {vote['seen']} items in the sequence)"


def _layout(vote: Any) -> str:
    return "the device and frame size are not in the catalogue" if not vote else _plain(vote)


def _picture(vote: Mapping[str, Any] | None, *, is_approved: bool) -> Iterator[str]:
    if vote is None:
        yield "Picture: none found, or not looked for because the region had failed already"
        return
    yield f"Picture: {vote.get('kind')}, {vote.get('pictures')} on the screen"
    for name, (meaning, least, most) in _MEASURED.items():
        value = vote.get(name)
        if value is None or (name in _OF_APPROVED and not is_approved):
            continue
        bar = f"at least {least:g}" if least is not None else f"at most {most:g}"
        is_missed = (least is not None and value < least) or (most is not None and value > most)
        yield f"         {name} {value:.3f}{', MISSED' if is_missed else ''} ({bar}): {meaning}"


def _plain(vote: Any) -> str:
    """Small JSON as people read it."""
    if isinstance(vote, Mapping):
        return ", ".join(f"{name} {_plain(value)}" for name, value in vote.items())
    if isinstance(vote, (list, tuple)):
        return "[" + ", ".join(_plain(one) for one in vote) + "]"
    return str(vote)
