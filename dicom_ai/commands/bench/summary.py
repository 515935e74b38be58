"""Verdicts to rows: leaks by place with their bound, accept rates of twins, fit to the exact sector, faint texts.

One JSON object a row; the tables for people are made of the same rows.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from dicom_ai.commands.bench.cases import LEGITIMATE
from dicom_ai.commands.bench.run import Baseline
from dicom_ai.commands.bench.verdict import Verdict
from dicom_ai.simulate.places import PLACES

Row = dict[str, Any]

CONFIDENCE = 0.95

ALL = "all"

COSTED = ("header", "side", "caption")
"""Places whose text lies wholly outside the sector and may cost next to nothing of the accept rate."""


def upper_bound(found: int, of: int) -> float:
    """One-sided upper bound of a share by Clopper and Pearson (1934), at `CONFIDENCE`.

    Args:
        found: events, 0 to `of`.
        of: trials; with none, nothing is known.

    Returns:
        0 to 1.

    Examples:
        >>> round(upper_bound(0, 3000), 6)
        0.000998
    """
    if of == 0 or found >= of:
        return 1.0
    low, high = found / of, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if _at_most(found, of, middle) > 1 - CONFIDENCE:
            low = middle
        else:
            high = middle
    return high


def _at_most(found: int, of: int, share: float) -> float:
    """Probability of at most `found` events."""
    terms = (
        math.lgamma(of + 1) - math.lgamma(k + 1) - math.lgamma(of - k + 1)
        + k * math.log(share) + (of - k) * math.log1p(-share)
        for k in range(found + 1)
    )  # fmt: skip
    return math.fsum(math.exp(term) for term in terms)


def leaks(seen: Sequence[Verdict]) -> list[Row]:
    """By place and over the legitimate ones: objects accepted with a legible text, and what survived of it."""
    groups: list[tuple[str, list[Verdict]]] = [(place, [one for one in seen if one.place == place]) for place in PLACES]
    groups.append(("header, side, caption, edge, label", [one for one in seen if one.place in LEGITIMATE]))
    groups.append((ALL, [one for one in seen if one.place is not None]))
    return [_leak_row(name, found) for name, found in groups]


def _leak_row(place: str, made: Sequence[Verdict]) -> Row:
    traces = [one.trace for one in made if one.is_accepted and one.trace is not None]
    legible = [one for one in traces if one.legible]
    leaked = sum(one.leaked > 0 for one in legible)
    return {
        "row": "leaks", "place": place, "painted": len(made), "accepted": len(traces), "legible": len(legible),
        "leaks": leaked, "upper_bound": round(upper_bound(leaked, len(legible)), 5),
        "glyphs": sum(one.leaked for one in legible), "any_pixel": sum(one.touched > 0 for one in legible),
        "most": max((one.most for one in legible), default=0.0), "faint": sum(one.faint > 0 for one in traces),
    }  # fmt: skip


def twins(seen: Sequence[Verdict]) -> list[Row]:
    """Accept rates of clean objects and of the same ones with a text, by screen, and what each place costs."""
    clean = {_subject(one): one for one in seen if one.place is None}
    rows: list[Row] = []
    for layout in sorted({one.layout for one in seen}, key=lambda name: (name.startswith("drawn"), name)):
        mine = [one for one in clean.values() if one.layout == layout]
        outside = [one for one in seen if one.layout == layout and one.place in COSTED]
        rows.append({
            "row": "accept", "layout": layout, "is_known": mine[0].is_known if mine else None,
            "clean": len(mine), "clean_accepted": _share(mine), "painted": len(outside),
            "painted_accepted": _share(outside),
        })  # fmt: skip
    for place in PLACES:
        pairs = [(clean[_subject(one)], one) for one in seen if one.place == place and _subject(one) in clean]
        before, after = _share([a for a, _ in pairs]), _share([b for _, b in pairs])
        cost = None if before is None or after is None else round(100 * (before - after), 2)
        rows.append({"row": "cost", "place": place, "pairs": len(pairs), "clean_accepted": before,
                     "painted_accepted": after, "cost_points": cost})  # fmt: skip
    return rows


def _subject(one: Verdict) -> str:
    return one.name.rsplit(":", 1)[0]


def _share(found: Sequence[Verdict]) -> float | None:
    return round(sum(one.is_accepted for one in found) / len(found), 4) if found else None


def fits(seen: Sequence[Verdict]) -> list[Row]:
    """Clean objects on known and drawn screens: accept rate, IoU to the exact sector, tissue kept; by shape too."""
    clean = [one for one in seen if one.place is None]
    picks: list[tuple[str, Callable[[Verdict], bool]]] = [
        ("all", lambda _: True), ("known", lambda one: one.is_known), ("drawn", lambda one: not one.is_known),
        ("darkened or cut", lambda one: one.is_dim), ("stills", lambda one: one.frames == 1),
        ("clips", lambda one: one.frames > 1),
    ]  # fmt: skip
    picks += [(shape, lambda one, s=shape: one.shape == s) for shape in sorted({one.shape for one in clean})]  # type: ignore[misc]
    return [_fit_row(name, [one for one in clean if pick(one)]) for name, pick in picks]


def _fit_row(group: str, made: Sequence[Verdict]) -> Row:
    ious = [one.iou for one in made if one.iou is not None]
    tissues = [one.tissue for one in made if one.tissue is not None]
    return {
        "row": "fit", "group": group, "clean": len(made), "accepted": _share(made),
        "iou_median": _at(ious, 50), "iou_p5": _at(ious, 5), "iou_worst": _at(ious, 0),
        "tissue_median": _at(tissues, 50), "tissue_worst": _at(tissues, 0),
        "reasons": dict(Counter(str(one.reason) for one in made if not one.is_accepted)),
    }  # fmt: skip


def _at(values: Sequence[float], percent: float) -> float | None:
    return round(float(np.percentile(values, percent)), 4) if values else None


_NO_END = 999
_HEIGHTS = ((0, 10), (10, 14), (14, 20), (20, _NO_END))
_CONTRASTS = ((0, 10), (10, 25), (25, 50), (50, _NO_END))


def faint(seen: Iterable[Verdict]) -> list[Row]:
    """Texts on tissue by height, contrast and place: how many were refused, blanked, or survived."""
    on_tissue = [one for one in seen if one.place not in {None, "header", "side", "caption", "edge"} and one.trace]
    rows: list[Row] = []
    for place in (name for name in PLACES if name in {one.place for one in on_tissue}):
        for low, high in _HEIGHTS:
            for least, most in _CONTRASTS:
                found = [
                    one for one in on_tissue
                    if one.place == place and one.trace is not None
                    and low <= one.trace.height < high and least <= one.trace.contrast < most
                ]  # fmt: skip
                if found:
                    rows.append(_faint_row(place, (low, high), (least, most), found))
    return rows


def _faint_row(place: str, height: tuple[int, int], contrast: tuple[int, int], found: Sequence[Verdict]) -> Row:
    survived = sum(one.trace is not None and (one.trace.leaked + one.trace.faint) > 0 for one in found)
    by_text = sum(one.reason == "text_on_tissue" for one in found)
    refused = sum(not one.is_accepted for one in found)
    return {
        "row": "faint", "place": place, "height": _range(height), "contrast": _range(contrast), "n": len(found),
        "legible": sum(one.trace is not None and one.trace.legible for one in found),
        "refused_as_text": by_text, "refused_otherwise": refused - by_text,
        "blanked": len(found) - refused - survived, "survived": survived,
    }  # fmt: skip


def _range(ends: tuple[int, int]) -> str:
    return f"{ends[0]} to {ends[1] - 1}" if ends[1] < _NO_END else f"{ends[0]} and more"


def others(found: dict[str, Baseline]) -> list[Row]:
    """The other ways on the same objects: leaks by place, IoU and tissue of clean ones."""
    rows: list[Row] = []
    for name, one in found.items():
        ious, tissues = [fit[0] for fit in one.fits], [fit[1] for fit in one.fits]
        rows.append({
            "row": "baseline", "way": name, "objects": one.seen.total() + len(one.fits), "failed": one.failed,
            "leaks": {place: [one.leaks[place], one.seen[place]] for place in PLACES if one.seen[place]},
            "iou_median": _at(ious, 50), "tissue_median": _at(tissues, 50),
        })  # fmt: skip
    return rows
