"""A verdict as another maker's workstation may write it: same codes and tracking UIDs, another layout.

Built straight with pydicom, nothing of ours in it but codes and UIDs. Other manufacturer, Latin-1, no device observer,
no language, no image library, no algorithm items, the groups one container deeper, regions left out where the AI's
stand, an ellipse instead of a polygon, the one frame of a still numbered.
"""

from dataclasses import dataclass, field

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComprehensiveSRStorage, ExplicitVRLittleEndian

ELLIPSE = (300.0, 220.0, 340.0, 220.0, 320.0, 210.0, 320.0, 230.0)


@dataclass
class Word:
    """What is said of one finding: its tracking UID, the assessment (empty: none) and whatever else stands there."""

    uid: str
    assessment: str = ""
    finding: tuple[str, str, str] | None = None
    ellipse: tuple[float, ...] = ()
    image: tuple[str, str] = ("", "")
    frame: int | None = None
    more: list[Dataset] = field(default_factory=list)


def foreign_verdict(report: Dataset, *words: Word, number: int = 1, at: str = "20260104093000") -> Dataset:
    """A verified Comprehensive SR on an AI report."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.SOPClassUID, ds.SOPInstanceUID = ComprehensiveSRStorage, f"1.2.826.0.1.3680043.10.9998.{number}"
    ds.SeriesInstanceUID, ds.StudyInstanceUID = f"1.2.826.0.1.3680043.10.9998.{number}.1", report.StudyInstanceUID
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
                    "AccessionNumber", "ReferringPhysicianName"):  # fmt: skip
        setattr(ds, keyword, report.get(keyword, ""))
    ds.Modality, ds.Manufacturer, ds.ManufacturerModelName = "SR", "Another Maker", "Reading Desk"
    ds.SeriesNumber, ds.InstanceNumber = 700, 1
    ds.ContentDate, ds.ContentTime = at[:8], at[8:]
    ds.CompletionFlag, ds.VerificationFlag = "COMPLETE", "VERIFIED"
    observer = Dataset()
    observer.VerifyingOrganization, observer.VerificationDateTime = "Other Clinic", at
    observer.VerifyingObserverName, observer.VerifyingObserverIdentificationCodeSequence = "Müller^Jörg", []
    ds.VerifyingObserverSequence = [observer]
    ds.PredecessorDocumentsSequence = [_named(report)]
    ds.CurrentRequestedProcedureEvidenceSequence, ds.PerformedProcedureCodeSequence = [], []
    ds.ReferencedPerformedProcedureStepSequence = []
    ds.ValueType, ds.ContinuityOfContent = "CONTAINER", "SEPARATE"
    ds.ConceptNameCodeSequence = [_code("126000", "DCM", "Imaging Measurement Report")]
    template = Dataset()
    template.MappingResource, template.TemplateIdentifier = "DCMR", "1500"
    ds.ContentTemplateSequence = [template]
    box = _item("CONTAINER", "CONTAINS", ("126010", "DCM", "Imaging Measurements"))
    box.ContinuityOfContent = "SEPARATE"
    deeper = _item("CONTAINER", "CONTAINS", ("125007X", "99OTHER", "Findings of the AI"))
    deeper.ContinuityOfContent = "SEPARATE"
    deeper.ContentSequence = [_group(word) for word in words]
    box.ContentSequence = [deeper]
    person = _item("PNAME", "HAS OBS CONTEXT", ("121008", "DCM", "Person Observer Name"))
    person.PersonName = "Müller^Jörg"
    ds.ContentSequence = [person, box]
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


def _group(word: Word) -> Dataset:
    group = _item("CONTAINER", "CONTAINS", ("125007", "DCM", "Measurement Group"))
    group.ContinuityOfContent = "SEPARATE"
    uid = _item("UIDREF", "HAS OBS CONTEXT", ("112040", "DCM", "Tracking UID"))  # another meaning of the same code
    uid.UID = word.uid
    items = [uid]
    if word.finding:
        items.append(_coded(("121071", "DCM", "Finding"), word.finding))
    if word.ellipse:
        items.append(_drawn(word))
    if word.assessment:  # last, where ours comes first
        said = (word.assessment, "99DICOMAI", word.assessment.lower())
        items.append(_coded(("AI-ASSESS", "99DICOMAI", "Reader's assessment"), said))
    group.ContentSequence = [*items, *word.more]
    return group


def _drawn(word: Word) -> Dataset:
    region = _item("SCOORD", "CONTAINS", ("111030", "DCM", "Image Region"))
    region.GraphicType, region.GraphicData = "ELLIPSE", list(word.ellipse)
    image, reference = _item("IMAGE", "SELECTED FROM", None), Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = word.image
    if word.frame is not None:
        reference.ReferencedFrameNumber = word.frame
    image.ReferencedSOPSequence = [reference]
    region.ContentSequence = [image]
    return region


def _named(report: Dataset) -> Dataset:
    instance, series, study = Dataset(), Dataset(), Dataset()
    instance.ReferencedSOPClassUID, instance.ReferencedSOPInstanceUID = report.SOPClassUID, report.SOPInstanceUID
    series.SeriesInstanceUID, series.ReferencedSOPSequence = report.SeriesInstanceUID, [instance]
    study.StudyInstanceUID, study.ReferencedSeriesSequence = report.StudyInstanceUID, [series]
    return study


def _item(kind: str, relation: str, name: tuple[str, str, str] | None) -> Dataset:
    item = Dataset()
    item.ValueType, item.RelationshipType = kind, relation
    if name is not None:
        item.ConceptNameCodeSequence = [_code(*name)]
    return item


def _coded(name: tuple[str, str, str], value: tuple[str, str, str]) -> Dataset:
    item = _item("CODE", "CONTAINS", name)
    item.ConceptCodeSequence = [_code(*value)]
    return item


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item
