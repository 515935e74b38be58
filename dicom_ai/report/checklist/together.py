"""Point 5: results and sources of a study say the same of patient and study, and what a result refers to is there.

What this is not: a search in an archive; a study whose sources are not among the objects is not judged.
"""

from collections.abc import Iterator, Sequence

from pydicom.dataset import Dataset

from dicom_ai.report.checklist.complaint import Complaint
from dicom_ai.report.patient_study import decoded

_SAME = ("PatientID", "PatientName", "PatientBirthDate", "StudyID", "StudyDate", "AccessionNumber")


def belonging(ours: Sequence[Dataset], sources: Sequence[Dataset]) -> Iterator[Complaint]:
    """Point 5 for a set.

    Args:
        ours: results of this project.
        sources: ultrasound objects they may have been made of.
    """
    present = {str(ds.get("SOPInstanceUID")) for ds in (*ours, *sources)}
    for ds in ours:
        study = [source for source in sources if source.get("StudyInstanceUID") == ds.get("StudyInstanceUID")]
        if not study:
            continue
        if set(_references(ds)) - present:
            yield Complaint(5, "a result refers to an image that is not among the files")
        stated = _stated(ds)
        for source in study:
            # An attribute that the source lacks is written empty, one that cannot be written is left empty.
            if any(mine and mine != its for mine, its in zip(stated, _stated(source), strict=True)):
                yield Complaint(5, "a result says something else of the patient or study than a source")


def _stated(ds: Dataset) -> tuple[str, ...]:
    plain = decoded(ds, _SAME)
    return tuple(str(plain.get(keyword) or "").replace(".", "").rstrip("^= ") for keyword in _SAME)


def _references(ds: Dataset) -> Iterator[str]:
    """SOP Instance UIDs of the evidence of a document, of the sources of a capture or PDF; not of predecessors."""
    for study in ds.get("CurrentRequestedProcedureEvidenceSequence") or []:
        for series in study.get("ReferencedSeriesSequence") or []:
            for item in series.get("ReferencedSOPSequence") or []:
                yield str(item.get("ReferencedSOPInstanceUID"))
    for keyword in ("SourceImageSequence", "SourceInstanceSequence"):
        for item in ds.get(keyword) or []:
            yield str(item.get("ReferencedSOPInstanceUID"))
