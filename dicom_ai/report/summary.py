"""A Structured Report read as a radiologist reads it: answers, warning and remarks, images, then what was measured.

Reads TID 1500 documents, ours before all. What this is not: a validator (`checklist`), or the tree as it stands
(`text`).
"""

from dataclasses import dataclass

from pydicom.dataset import Dataset

from dicom_ai.report import code
from dicom_ai.report.checklist import items
from dicom_ai.report.text import report_rows, stated
from dicom_ai.report.wording import say

_BESIDE = frozenset({"112039", "112040", "111000", "111001", "111002", "111003", "111030", "121200"})
"""Items of a group that are shown elsewhere or are for programs."""

_NAMES = {term.value: term for term in code.TERMS} | {
    items.FINDING_SITE: code.Term(items.FINDING_SITE, "SCT", "Finding Site", "所见部位")
}
"""Standard names stand in English in every document, as the templates have them; people read them in theirs."""


@dataclass(frozen=True)
class Measured:
    """One measurement group.

    Attributes:
        label: its tracking identifier.
        facts: (name, value) of findings, sites, verdicts and numbers, in the order of the document.
        box: x0, y0, x1, y1 around its region in pixels of the full frame, None without one.
    """

    label: str
    facts: tuple[tuple[str, str], ...]
    box: tuple[int, int, int, int] | None


@dataclass(frozen=True)
class Summary:
    """A report in the order in which it is read.

    Attributes:
        language: "en" or "zh"; "en" where the document says neither.
        flags: Verification, Completion and Preliminary Flag as stated.
        made: content date and time, YYYY-MM-DD HH:MM, "" without.
        answers: (class, state, highest probability or "").
        remarks: the comments, the warning first, without those about single images.
        images: how many the library lists.
        about_images: the comments that say where an image is found, or why it was not analysed.
    """

    title: str
    language: str
    flags: tuple[str, ...]
    made: str
    by: str
    answers: tuple[tuple[str, str, str], ...]
    remarks: tuple[str, ...]
    images: int
    about_images: tuple[str, ...]
    measured: tuple[Measured, ...]


def summary_of(report: Dataset) -> Summary:
    """Read a report; what is absent is left empty."""
    flags = (report.get(keyword) for keyword in ("VerificationFlag", "CompletionFlag", "PreliminaryFlag"))
    language = items.language(report) or "en"
    boxes = items.named(report, code.QUALITATIVE_EVALUATIONS)
    remarks = [str(item.get("TextValue") or "") for box in (*boxes, report) for item in items.named(box, code.COMMENT)]
    beginnings = _beginnings(language, len(remarks))
    return Summary(
        title=str(report.get("SeriesDescription") or "") or stated(report)[0],
        language=language,
        flags=tuple(str(flag) for flag in flags if flag),
        made=_moment(report),
        by=_by(report),
        answers=tuple(report_rows(report)),
        remarks=tuple(remark for remark in remarks if not remark.startswith(beginnings)),
        images=len(items.library(report)),
        about_images=tuple(remark for remark in remarks if remark.startswith(beginnings)),
        measured=tuple(_measured(group, language) for group in items.groups(report)),
    )


def _beginnings(language: str, most: int) -> tuple[str, ...]:
    """How the comments about single images begin."""
    numbered = (say("image", language, n=n, place="|", frames="", state="") for n in range(1, most + 1))
    open_end = ""  # what follows the place does not matter
    skipped = say("skipped_image", language, place="|", reason=open_end)
    return tuple(sentence.split("|", maxsplit=1)[0] for sentence in (*numbered, skipped))


def _measured(group: Dataset, language: str) -> Measured:
    label = " ".join(str(item.get("TextValue") or "") for item in items.named(group, items.TRACKING_IDENTIFIER))
    facts = (_fact(item, language) for item in items.children(group) if items.name(item) not in _BESIDE)
    place = items.place(group)
    box = None
    if place is not None:
        x0, y0, x1, y1 = (round(number) for number in place.box)
        box = x0, y0, x1, y1
    return Measured(label, tuple(fact for fact in facts if any(fact)), box)


def _fact(item: Dataset, language: str) -> tuple[str, str]:
    name, value = stated(item)
    term = _NAMES.get(items.name(item))
    return (term.meaning(language) if term is not None and name == term.en else name), value


def _moment(report: Dataset) -> str:
    date, time = str(report.get("ContentDate") or ""), str(report.get("ContentTime") or "")
    return f"{date[:4]}-{date[4:6]}-{date[6:8]} {time[:2]}:{time[2:4]}" if len(date) == 8 and len(time) >= 4 else ""


def _by(report: Dataset) -> str:
    """Maker and model of the device that observed; readers who verified stand in the document itself."""
    parts = [stated(item)[1] for name in ("121014", "121015") for item in items.named(report, name)]
    return ", ".join(part for part in parts if part)
