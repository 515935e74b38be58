"""Every judge over one study: source, captures, report in each class, verdict, note.

dciodvfy and our own list for each object, dsrdump for each document, dcentvfy and our list over the set, PixelMed where
asked for. What a judge may say stands here and nowhere else.
"""

import re
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset

from dicom_ai.commands import pixelmed
from dicom_ai.commands.validate import findings
from dicom_ai.report.assessed import Assessment
from dicom_ai.report.checklist import items
from dicom_ai.report.checklist.judge import complaints, is_ours, set_complaints
from dicom_ai.report.header import part10
from dicom_ai.report.verdict import Reader, verdict_report
from tests.unit.test_report_validators import ALLOWED, ENTITY, tool

# What a source brings into patient, study or scanner equipment of its results: theirs, carried on as stated.
BROUGHT = re.compile(
    ALLOWED.pattern + r"|Illegal root for UID = <999\.999|Retired Person Name form|Value is zero"
    r"|</ProcedureCodeSequence.*Unrecognized defined term"
)
# A reader's word stands in the group it is about; TID 1410 is extensible and has no row for it.
ASSESSED = re.compile(
    r"^Warning: [\d.]+: .*/CONTAINER \(125007,DCM,\"Measurement Group\"\)"
    r"/(CODE \(AI-ASSESS,99DICOMAI,|CODE \(AI-FINDING,99DICOMAI,|TEXT \(121106,DCM,).*: Content Item not in template$"
)
READER = Reader("Muster^Doktor", "Invented Hospital", "2026-01-03T08:15:00")
# Around the first pixels of a frame: outside what the model was shown, where a reader may draw all the same.
OUTLINE = ((0.0, 0.0), (9.5, 0.0), (4.0, 8.25), (0.0, 0.0))
_OTHER = {"lung-signs": ("consolidation", "a_lines"), "uterine-lesions": ("normal", "endometrial_polyp")}


def verdict_on(report: Dataset, verdict: str, task: str) -> Dataset | None:
    """A reader's verdict of one kind on everything the report measured; None where it measured nothing."""
    said = []
    for group in items.groups(report):
        uid = str(items.named(group, items.TRACKING_UID)[0].UID)
        theirs = {items.FINDINGS.get(items.value(item)) for item in items.children(group)}
        other = next(one for one in _OTHER[task] if one not in theirs)
        changes = {"class_id": other, "region": OUTLINE} if verdict == "MODIFIED" else {}
        said.append(Assessment(uid, verdict, reason="" if verdict == "ACCEPTED" else "seen otherwise", **changes))
    return verdict_report(report, said, (), READER, namespace="site") if said else None


def written(ds: Dataset, path: Path) -> Path:
    """The object as a file."""
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(part10(ds))
    return path


def headers(paths: Sequence[Path]) -> list[Dataset]:
    """Data sets without pixels; pydicom's remarks on what old scanners wrote are left unsaid."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [dcmread(path, stop_before_pixels=True) for path in paths]


def check_set(source: Path, results: Sequence[Path], allowed: re.Pattern[str] = ALLOWED) -> int:
    """Fail where dciodvfy, dsrdump, dcentvfy or our own list say anything of results and their source.

    Args:
        source: the image they were made of.
        results: of one analysis, with what was said of them since.
        allowed: lines of dciodvfy that are not held against a result.

    Returns:
        How many results there were.
    """
    for name in ("dciodvfy", "dcentvfy", "dsrdump"):
        tool(name)
    (origin,), made = headers([source]), headers(results)
    everything = [origin, *made]
    said: dict[str, list[str]] = {}
    for path, ds in zip(results, made, strict=True):
        assert is_ours(ds)
        found = [line for line in findings("dciodvfy", path) if not allowed.search(line)]
        found += [complaint.line() for complaint in complaints(ds, everything)]
        if ds.Modality in {"SR", "KO"}:
            found += [line for line in findings("dsrdump", path) if not line.startswith("W:")]
        if found:
            said[f"{ds.Modality} {path.name}"] = found
    assert not said, said
    assert [complaint.line() for complaint in set_complaints(everything)] == []
    readable, entity = _in_unicode(source, results[0].parent), _entity(origin, made)
    assert [line for line in findings("dcentvfy", readable, *results) if not entity.search(line)] == []
    return len(results)


def check_templates(paths: Sequence[Path]) -> int:
    """Fail where PixelMed says anything of documents; of a verdict it may say that the reader's word has no row.

    Returns:
        How many documents it read: none where it is not installed.
    """
    if not pixelmed.is_installed():
        return 0
    with ThreadPoolExecutor(max_workers=2) as pool:
        answers = dict(zip(paths, pool.map(lambda path: findings("pixelmed", path), paths), strict=True))
    for path, lines in answers.items():
        (ds,) = headers([path])
        is_verdict = ds.get("VerificationFlag") == "VERIFIED"
        found = [line for line in lines if not (is_verdict and ASSESSED.search(line))]
        assert not found, {path.name: found}
    return len(answers)


def _entity(source: Dataset, results: Sequence[Dataset]) -> re.Pattern[str]:
    """What dcentvfy may say: attributes that results must have, empty, and their source has not.

    De-identification Method is the exception: it must have a value once Patient Identity Removed is YES.
    """
    empty = {
        element.keyword
        for ds in results
        for element in ds
        if not element.value or element.keyword == "DeidentificationMethod"
    }
    lacking = [keyword for keyword in sorted(empty) if keyword not in source]
    there = rf"present in one instance but not the other - Element=<({'|'.join(lacking)})> IE=<(Patient|Study)>"
    return re.compile(rf"{ENTITY.pattern}|{there}" if lacking else ENTITY.pattern)


def _in_unicode(source: Path, folder: Path) -> Path:
    """A source in the character set of its results: dcentvfy compares bytes, not names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = dcmread(source)
        ds.decode()
        ds.SpecificCharacterSet = "ISO_IR 192"
        path = folder / "unicode" / "source.dcm"
        path.parent.mkdir(exist_ok=True)
        ds.save_as(path)
    return path
