"""What the witnesses said of an object, in words: region, layout, picture, and which thresholds were missed.

What this is not: the votes (`crop.decision`), or their picture (`crop.picture`).
"""

from collections.abc import Iterator, Mapping
from typing import Any

from dicom_ai.crop import decision
from dicom_ai.reasons import REASONS

_MEASURED = {
    "confidence": ("IoU of fitted shape and lit picture", "LEAST_CONFIDENCE"),
    "inside": ("share of the picture inside the region", "LEAST_INSIDE"),
    "covered": ("share of the region that is picture", "LEAST_COVERED"),
    "steady": ("IoU of first, middle and last frame with the clip", "LEAST_STEADY"),
}
"""Measure -> what it is, and the name of its threshold in `crop.decision`."""


def votes_in_words(votes: Mapping[str, Any] | None) -> list[str]:
    """The votes of an outcome, a line for each thing said; the outcome's votes as they stand in the ledger."""
    if not votes or not any(votes.values()):
        return ["No witness was heard: the object was refused before."]
    text = votes.get("text")
    return [
        f"Region:  {_region(votes.get('regions'))}",
        f"Layout:  {_layout(votes.get('layout'))}",
        *_picture(votes.get("support")),
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


def _picture(vote: Mapping[str, Any] | None) -> Iterator[str]:
    if vote is None:
        yield "Picture: none found, or not looked for because the region had failed already"
        return
    yield f"Picture: {vote.get('kind')}, {vote.get('pictures')} on the screen"
    for name, (meaning, threshold) in _MEASURED.items():
        value, least = vote.get(name), getattr(decision, threshold, None)
        if value is None:
            continue
        missed = "" if least is None else f", MISSED: at least {least:g}" if value < least else f" (at least {least:g})"
        yield f"         {name} {value:.3f}{missed}: {meaning}"


def _plain(vote: Any) -> str:
    """Small JSON as people read it."""
    if isinstance(vote, Mapping):
        return ", ".join(f"{name} {_plain(value)}" for name, value in vote.items())
    if isinstance(vote, (list, tuple)):
        return "[" + ", ".join(_plain(one) for one in vote) + "]"
    return str(vote)
