"""What a reader says on a command line, as assessments and missed findings of one AI report.

Findings are named by their number in the report or by tracking UID, images by their number in the report's library or
by SOP Instance UID. Every error says what would have been right. What this is not: the document (`report.verdict`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pydicom.dataset import Dataset

from dicom_ai.errors import SettingsError
from dicom_ai.instance import MULTI_FRAME_CLASSES
from dicom_ai.kept import Polygon
from dicom_ai.report import find
from dicom_ai.report.assessed import Assessment, Library, Missed
from dicom_ai.report.code import CLASSES
from dicom_ai.report.outline import polygon_of
from dicom_ai.report.verdict import Reader

ALL = "all"
_LIST = "`dicom-ai verdict SR` without options lists them"


@dataclass(frozen=True)
class Said:
    """What stood on the command line.

    Attributes:
        accept, reject: ids of findings; "all" stands for every finding that is not named otherwise.
        modify: ID=CLASS.
        outline: ID:POINTS, the reader's outline of a finding, which is modified by that.
        missed: classes of findings that the AI lacks.
        region: IMAGE:FRAME:POINTS (IMAGE:POINTS on a still) of each missed finding, in the same order.
        reason: TEXT for every finding of the call, or ID=TEXT for one.
        by, organisation, by_code: the reader: Person Name, organisation, and VALUE^SCHEME^MEANING where coded.
    """

    accept: Sequence[str] = ()
    reject: Sequence[str] = ()
    modify: Sequence[str] = ()
    outline: Sequence[str] = ()
    missed: Sequence[str] = ()
    region: Sequence[str] = ()
    reason: Sequence[str] = ()
    by: str = ""
    organisation: str = ""
    by_code: str = ""

    @property
    def is_silent(self) -> bool:
        """Whether nothing is said of any finding."""
        return not (self.accept or self.reject or self.modify or self.outline or self.missed or self.region)

    def reader(self, time: str) -> Reader:
        """Who says so, at this time.

        Raises:
            SettingsError: the code is none.
        """
        parts = self.by_code.split("^")
        if self.by_code and (len(parts) != 3 or not all(part.strip() for part in parts)):
            raise SettingsError("--by-code is VALUE^SCHEME^MEANING, for example 4711^99CLINIC^Erika Muster")
        coded = (parts[0].strip(), parts[1].strip(), parts[2].strip()) if self.by_code else None
        return Reader(self.by, self.organisation, time, coded)


class Reading:
    """What a reader says, understood in front of one report."""

    def __init__(self, said: Said, report: Dataset, frames: Mapping[str, int]) -> None:
        """Take the words, the report, and the number of frames of its images as far as they are known."""
        self._said, self._frames = said, frames
        self._uids = [find.tracking_uid(group) for group in find.groups(report)]
        self._library = Library.of(report)
        self._images = list(self._library.classes)

    def assessments(self) -> list[Assessment]:
        """Of the report's findings, in the order of the report.

        Raises:
            SettingsError: a finding or class is unknown, or something is said twice of one finding.
        """
        said, found = self._said, dict[str, Assessment]()
        for uid, one in [
            *self._modified(),
            *self._named("ACCEPTED", said.accept),
            *self._named("REJECTED", said.reject),
        ]:
            if uid in found:
                raise SettingsError(f"finding {self._uids.index(uid) + 1} is assessed twice; say one thing of it")
            found[uid] = one
        if ALL in said.accept and ALL in said.reject:
            raise SettingsError("all findings cannot be accepted and rejected; name those of one kind")
        rest = "ACCEPTED" if ALL in said.accept else "REJECTED" if ALL in said.reject else None
        for uid in self._uids if rest else ():
            found.setdefault(uid, Assessment(uid, "ACCEPTED" if rest == "ACCEPTED" else "REJECTED"))
        general, single = self._reasons()
        return [replace(found[uid], reason=single.get(uid, general)) for uid in self._uids if uid in found]

    def missed(self) -> list[Missed]:
        """Findings that the report lacks.

        Raises:
            SettingsError: one has no region or no class of ours, or its place is on no image of the report.
        """
        said = self._said
        if len(said.missed) != len(said.region):
            raise SettingsError(
                "every --missed CLASS has one --region IMAGE:FRAME:POINTS, in the same order; for the outline of a "
                "finding that the AI has, use --outline ID:POINTS"
            )
        general, _ = self._reasons()
        return [self._miss(name, where, general) for name, where in zip(said.missed, said.region, strict=True)]

    def _modified(self) -> Iterator[tuple[str, Assessment]]:
        outlines = dict(self._outlined(one) for one in self._said.outline)
        if len(outlines) != len(self._said.outline):
            raise SettingsError("a finding has two --outline; draw one")
        for one in self._said.modify:
            which, _, class_id = one.partition("=")
            uid = self._uid(which)
            yield uid, Assessment(uid, "MODIFIED", _known_class(class_id), outlines.pop(uid, None))
        yield from ((uid, Assessment(uid, "MODIFIED", None, points)) for uid, points in outlines.items())

    def _named(self, verdict: str, which: Sequence[str]) -> Iterator[tuple[str, Assessment]]:
        for one in which:
            if one != ALL:
                uid = self._uid(one)
                yield uid, Assessment(uid, "ACCEPTED" if verdict == "ACCEPTED" else "REJECTED")

    def _outlined(self, text: str) -> tuple[str, Polygon]:
        which, colon, points = text.partition(":")
        if not colon:
            raise SettingsError(f'{text!r} names no finding; write --outline "2:300,200 340,200 340,240"')
        return self._uid(which), _polygon(points)

    def _miss(self, class_id: str, where: str, reason: str) -> Missed:
        *place, points = where.split(":")
        if not 1 <= len(place) <= 2:
            raise SettingsError(f'{where!r} is no region; write --region "IMAGE:FRAME:300,200 340,200 340,240"')
        image = self._image(place[0])
        number = self._frame(image, place[1] if len(place) == 2 else "")
        return Missed(image, number, _known_class(class_id), _polygon(points), reason)

    def _image(self, which: str) -> str:
        if which.isdecimal() and 1 <= int(which) <= len(self._images):
            return self._images[int(which) - 1]
        if which in self._images:
            return which
        raise SettingsError(f"the report has no image {which!r}; its images are 1 to {len(self._images)}, {_LIST}")

    def _frame(self, image: str, text: str) -> int | None:
        number = self._images.index(image) + 1
        if self._library.classes[image] not in MULTI_FRAME_CLASSES:
            if text not in ("", "1"):
                raise SettingsError(f'image {number} is a still; write --region "{number}:POINTS"')
            return None
        last = self._frames.get(image)
        if not text.isdecimal() or int(text) < 1 or (last is not None and int(text) > last):
            upto = f"1 to {last}" if last is not None else "from 1"
            raise SettingsError(f'image {number} is a clip; name the frame ({upto}): --region "{number}:FRAME:POINTS"')
        return int(text)

    def _uid(self, which: str) -> str:
        if which.isdecimal() and 1 <= int(which) <= len(self._uids):
            return self._uids[int(which) - 1]
        if which in self._uids:
            return which
        raise SettingsError(f"the report has no finding {which!r}; its findings are 1 to {len(self._uids)}, {_LIST}")

    def _reasons(self) -> tuple[str, dict[str, str]]:
        general, single = "", dict[str, str]()
        for text in self._said.reason:
            which, equals, rest = text.partition("=")
            if equals and (which in self._uids or which.isdecimal()):
                single[self._uid(which)] = rest
            elif general:
                raise SettingsError("two reasons for all findings; write --reason ID=TEXT for one finding")
            else:
                general = text
        return general, single


def _known_class(name: str) -> str:
    if name not in CLASSES:
        raise SettingsError(f"{name!r} is no class; there are {', '.join(CLASSES)}")
    return name


def _polygon(points: str) -> Polygon:
    try:
        return polygon_of(points)
    except ValueError as exc:
        raise SettingsError(str(exc)) from None
