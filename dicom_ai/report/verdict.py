"""A reader's verdict on an AI report: a second, verified document beside it. The AI report itself is never altered.

It repeats what was assessed under the same tracking UIDs; what was not assessed is not in it. The same input always
makes the same bytes. What this is not: reading a verdict back (`verdict_rows`), or a radiology report.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from io import BytesIO

from highdicom.sr import (
    ContainerContentItem,
    ContentSequence,
    ObserverContext,
    PersonObserverIdentifyingAttributes,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import PersonName

from dicom_ai import __version__
from dicom_ai.instance import OUR_MANUFACTURER, STRUCTURED_REPORTS
from dicom_ai.report import code, find
from dicom_ai.report.assessed import Assessment, Library, Missed, assessed_group, missed_group
from dicom_ai.report.header import SERIES_NUMBER_VERDICT, file_meta, in_zone_of, part10
from dicom_ai.report.patient_study import CHARACTER_SET
from dicom_ai.report.uid import result_uid
from dicom_ai.report.wording import say

_LONGEST = 64  # LO, and each group of a PN


@dataclass(frozen=True)
class Reader:
    """Who verified, and when.

    Attributes:
        name: as a Person Name (PS3.5 6.2), for example "Muster^Erika^^Dr."; at most 64 characters a group.
        organisation: at most 64 characters.
        time: ISO 8601 date and time; naive is in the zone of the AI report.
        coded: (value, scheme, meaning) of the person where the site has one.
    """

    name: str
    organisation: str
    time: str
    coded: tuple[str, str, str] | None = None


def verdict_report(
    report: Dataset, assessments: Sequence[Assessment], missed: Sequence[Missed], reader: Reader, *, namespace: str
) -> Dataset:
    """Build the verdict.

    Args:
        report: the AI report, of any of its SOP classes; left alone.
        assessments: at most one per tracking UID of the report; any order.
        missed: findings that the report lacks.
        reader: who says so.
        namespace: of the site, for UIDs.

    Returns:
        A data set with File Meta Information, of the SOP class of the report: COMPLETE, VERIFIED, Predecessor
        Documents naming the report.

    Raises:
        ValueError: the report is not an AI report of this project, nothing is assessed, an assessment names no group
            of it or contradicts itself, or the reader is not named.
    """
    require_report(report)
    _require_named(reader)
    report = _plain(report)
    theirs = find.groups(report)
    said = {one.tracking_uid: one for one in assessments}
    unknown = set(said) - {find.tracking_uid(group) for group in theirs}
    if unknown or len(said) != len(assessments):
        raise ValueError("an assessment names no finding of the report, or one is assessed twice")
    if not assessments and not missed:
        raise ValueError("nothing is assessed")
    language, library = find.language(report), Library.of(report)
    key = _key(report, sorted(assessments, key=lambda one: one.tracking_uid), missed, reader)
    groups = [
        assessed_group(group, said[uid], library, language)
        for group in theirs
        if (uid := find.tracking_uid(group)) in said
    ]
    for number, one in enumerate(missed, 1):
        uid = result_uid(namespace, key, "missed", "", number)
        groups.append(missed_group(one, number, uid, library, language))
    summary = _summary(report, assessments, len(missed), len(theirs))
    verdict = _plain(report)
    verdict.ContentSequence = _tree(report, groups, summary, reader)
    _head(verdict, report, reader, (namespace, key))
    verdict.file_meta = file_meta(verdict, ExplicitVRLittleEndian)
    verdict.preamble = b"\0" * 128
    return _plain(verdict)


def require_report(report: Dataset) -> None:
    """Make sure that a data set is an AI report of this project, the only thing verdicts are given on.

    Raises:
        ValueError: it is not; the text says why.
    """
    if report.get("SOPClassUID") not in STRUCTURED_REPORTS or not find.is_called(report, code.REPORT_TITLE):
        raise ValueError("this is not an AI report")
    if report.get("VerificationFlag") == "VERIFIED":
        raise ValueError("this report is a verdict; assess the AI report that it names as predecessor")
    if report.get("Manufacturer") != OUR_MANUFACTURER:
        raise ValueError("this report was made by another product")


def _plain(report: Dataset) -> Dataset:
    """As it comes from a file, in Unicode: whatever made the data set, the same content gives the same bytes."""
    whole = Dataset()
    whole.update(report)
    if isinstance(report.get("SpecificCharacterSet"), str) and report.SpecificCharacterSet != CHARACTER_SET:
        whole.decode()
        whole.SpecificCharacterSet = CHARACTER_SET
    whole.file_meta = file_meta(whole, ExplicitVRLittleEndian)
    whole.preamble = b"\0" * 128
    return dcmread(BytesIO(part10(whole)))


def _require_named(reader: Reader) -> None:
    groups = reader.name.split("=")
    if not reader.name.strip("^= ") or len(groups) > 3 or any(len(group) > _LONGEST for group in groups):
        raise ValueError(f"a verdict needs the name of a person, at most {_LONGEST} characters")
    if not 0 < len(reader.organisation.strip()) <= _LONGEST or "\\" in reader.organisation + reader.name:
        raise ValueError(f"a verdict needs the reader's organisation, at most {_LONGEST} characters")


def _key(report: Dataset, said: Sequence[Assessment], missed: Sequence[Missed], reader: Reader) -> str:
    """What makes this verdict the one it is."""
    what = {
        "version": __version__,
        "report": str(report.SOPInstanceUID),
        "assessments": [asdict(one) for one in said],
        "missed": [asdict(one) for one in missed],
        "reader": asdict(reader),
    }
    return hashlib.sha256(json.dumps(what, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _summary(report: Dataset, said: Sequence[Assessment], missed: int, total: int) -> str:
    language = find.language(report)
    counts = {name.lower(): sum(one.verdict == name for one in said) for name in code.ASSESSMENTS}
    text = say("verdict", language, **counts, missed=missed, others=total - len(said), total=total)
    made_by = " ".join(str(item.get("ContributionDescription")) for item in report.ContributingEquipmentSequence)
    return f"{text} {say('demonstration', language)}" if "grade demonstration" in made_by else text


def _tree(report: Dataset, groups: Sequence[Dataset], summary: str, reader: Reader) -> list[Dataset]:
    """The AI report's root with both observers, the summary instead of its answers, and the groups."""
    answers = _container(code.QUALITATIVE_EVALUATIONS)
    answers.ContentSequence = [TextContentItem(code.COMMENT.concept(), summary, RelationshipTypeValues.CONTAINS)]
    measured = _container(code.IMAGING_MEASUREMENTS)
    measured.ContentSequence = list(groups)
    person = PersonObserverIdentifyingAttributes(reader.name, organization_name=reader.organisation.strip())
    items = [item for item in find.children(report) if not find.is_called(item, code.IMAGING_MEASUREMENTS)]
    items = [answers if find.is_called(item, code.QUALITATIVE_EVALUATIONS) else item for item in items]
    at = 1 + max(i for i, item in enumerate(items) if item.RelationshipType == "HAS OBS CONTEXT")
    return [*items[:at], *ObserverContext(codes.DCM.Person, person), *items[at:], measured]


def _container(name: code.Term) -> Dataset:
    item = ContainerContentItem(
        name.concept(), is_content_continuous=False, relationship_type=RelationshipTypeValues.CONTAINS
    )
    item.ContentSequence = ContentSequence()
    plain = Dataset()
    plain.update(item)
    return plain


def _head(verdict: Dataset, report: Dataset, reader: Reader, name: tuple[str, str]) -> None:
    """Everything outside the tree in which a verdict differs from the report it is about."""
    language, (namespace, key) = find.language(report), name
    verdict.SOPInstanceUID = result_uid(namespace, key, "verdict", str(report.SOPClassUID), 0)
    verdict.SeriesInstanceUID = result_uid(namespace, key, "verdict-series", "", 0)
    verdict.SeriesNumber, verdict.InstanceNumber = SERIES_NUMBER_VERDICT, 1
    verdict.SeriesDescription = say("verdict_series", language)
    moment = in_zone_of(report, datetime.fromisoformat(reader.time)).replace(microsecond=0)
    verdict.InstanceCreationDate = verdict.SeriesDate = verdict.ContentDate = f"{moment:%Y%m%d}"
    verdict.InstanceCreationTime = verdict.SeriesTime = verdict.ContentTime = f"{moment:%H%M%S}"
    verdict.SoftwareVersions = [__version__, *list(report.SoftwareVersions)[1:]]
    verdict.CompletionFlag, verdict.VerificationFlag = "COMPLETE", "VERIFIED"
    verdict.CompletionFlagDescription = say("verdict_complete", language)
    if "PreliminaryFlag" in verdict:  # absent: FINAL is what the radiology report says of itself
        del verdict.PreliminaryFlag
    verdict.VerifyingObserverSequence = [_verifier(reader, moment)]
    verdict.AuthorObserverSequence = [_author(reader), *report.AuthorObserverSequence]
    verdict.PredecessorDocumentsSequence = [predecessor(report)]


def _verifier(reader: Reader, moment: datetime) -> Dataset:
    item = Dataset()
    item.VerifyingOrganization = reader.organisation.strip()
    item.VerificationDateTime = f"{moment:%Y%m%d%H%M%S}"
    item.VerifyingObserverName = PersonName(reader.name)
    item.VerifyingObserverIdentificationCodeSequence = [_coded(reader.coded)] if reader.coded else []
    return item


def _author(reader: Reader) -> Dataset:
    item = Dataset()
    item.ObserverType = "PSN"
    item.PersonName = PersonName(reader.name)
    item.PersonIdentificationCodeSequence = [_coded(reader.coded)] if reader.coded else []
    item.InstitutionName = reader.organisation.strip()
    item.InstitutionCodeSequence = []
    return item


def _coded(coded: tuple[str, str, str]) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = coded
    return item


def predecessor(report: Dataset) -> Dataset:
    """The item of Predecessor Documents Sequence (PS3.3 C.17.2) that names a document."""
    instance = Dataset()
    instance.ReferencedSOPClassUID = report.SOPClassUID
    instance.ReferencedSOPInstanceUID = report.SOPInstanceUID
    series = Dataset()
    series.SeriesInstanceUID = report.SeriesInstanceUID
    series.ReferencedSOPSequence = [instance]
    study = Dataset()
    study.StudyInstanceUID = report.StudyInstanceUID
    study.ReferencedSeriesSequence = [series]
    return study
