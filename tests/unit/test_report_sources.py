"""The matrix: results of every kind of source, made by the command `analyse`, before every judge.

Devices, lengths, encodings, character sets, missing attributes, real objects; each with a report in each of its three
classes, a verdict on each (accepted, modified, rejected) and a note that takes the result back. Long: run by `make
verify`. Skipped visibly where a tool is missing; PixelMed is asked about every report where it is installed, and about
one verdict of each source, of another class from source to source.
"""

import json
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels import convert_color_space

from dicom_ai.commands import offline, pixelmed
from dicom_ai.instance import US_MULTI_FRAME
from dicom_ai.report.header import part10
from dicom_ai.report.rejection import Recall, rejection_note
from dicom_ai.report.structured import SR_CLASSES, structured_report
from dicom_ai.settings import Settings, Store
from dicom_ai.simulate.device import devices
from dicom_ai.simulate.exam import Shot, exam
from dicom_ai.simulate.patients import patient_of
from tests.builders_report import TYPE_2
from tests.judges import BROUGHT, check_set, check_templates, headers, verdict_on, written
from tests.pixels import with_palette

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "us"
LABEL = {"lung": "b_lines", "uterus": "endometrial_polyp"}
TASK = {"lung": "lung-signs", "uterus": "uterine-lesions"}
VERDICTS = ("ACCEPTED", "MODIFIED", "REJECTED")

# a clip of 136 frames, four reports of some groups before PixelMed, and a machine that does other things
pytestmark = [pytest.mark.verify, pytest.mark.timeout(900)]


def drawn(kind: str = "lung", device: str = "logiq-e9", *, frames: int = 1, **patient: str) -> Dataset:
    """One still or clip of a device."""
    shot = Shot(frozenset({LABEL[kind]}), frames=frames)
    (ds,) = exam(kind, seed=11, patient=patient_of(11, **patient), layout=device, content=(shot,))
    return ds


def palette(ds: Dataset) -> Dataset:
    """A grey still as indices into a palette that leaves them what they are."""
    levels = np.arange(256, dtype=np.uint16) * 257
    ds.PhotometricInterpretation = "PALETTE COLOR"
    return with_palette(ds, levels, levels, levels)


def changed(change: Callable[[Dataset], object], **options: object) -> Callable[[], Dataset]:
    def make() -> Dataset:
        ds = drawn(**options)
        change(ds)
        return ds

    return make


def without(keyword: str) -> Callable[[], Dataset]:
    return changed(lambda ds: ds.pop(keyword, None))


def clip_of_one() -> Dataset:
    """A multi-frame object of a single frame, as scanners write it whose clip key was pressed briefly."""
    ds = drawn(frames=2)
    one = drawn(frames=1)
    for keyword in ("PixelData", "Rows", "Columns", "PhotometricInterpretation", "SamplesPerPixel"):
        ds[keyword] = one[keyword]
    ds.SequenceOfUltrasoundRegions = one.SequenceOfUltrasoundRegions
    for keyword in ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"):
        ds.pop(keyword, None)
    ds.file_meta.TransferSyntaxUID = one.file_meta.TransferSyntaxUID
    ds.SOPClassUID, ds.NumberOfFrames = US_MULTI_FRAME, 1
    return ds


def in_ybr() -> Dataset:
    """A colour still as luminance and colour difference, uncompressed."""
    ds = colour()
    pixels = ds.pixel_array
    ds.PhotometricInterpretation = "YBR_FULL"
    ds.PixelData = convert_color_space(pixels, "RGB", "YBR_FULL").tobytes()
    ds.PlanarConfiguration = 0
    return ds


def colour() -> Dataset:
    shot = Shot(frozenset({"b_lines"}), rgb=True)
    (ds,) = exam("lung", seed=11, patient=patient_of(11), content=(shot,))
    return ds


SOURCES: dict[str, tuple[str, Callable[[], Dataset]]] = {
    **{
        f"{name} {kind} {frames}": (kind, lambda kind=kind, name=name, frames=frames: drawn(kind, name, frames=frames))
        for name in devices()
        for kind in ("lung", "uterus")
        for frames in (1, 2)
    },
    **{f"without {keyword}": ("lung", without(keyword)) for keyword in (*TYPE_2, "BodyPartExamined")},
    **{f"clip of {n}": ("lung", lambda n=n: drawn(frames=n)) for n in (30, 136)},
    **{f"names in {c}": ("lung", lambda c=c: drawn(charset=c)) for c in ("ISO_IR 192", "ISO_IR 100", "GB18030")},
    "palette": ("lung", lambda: palette(drawn())),
    "rgb": ("lung", colour),
    "ybr": ("lung", in_ybr),
    "clip of 1": ("lung", clip_of_one),
    "zone": ("lung", changed(lambda ds: setattr(ds, "TimezoneOffsetFromUTC", "+0800"))),
    "laterality": (
        "lung",
        changed(lambda ds: (setattr(ds, "BodyPartExamined", "LUNG"), setattr(ds, "Laterality", "R"))),
    ),
}


@dataclass
class Tally:
    """What the tests of this module have judged so far."""

    sources: set[str] = field(default_factory=set)
    real: int = 0
    objects: int = 0
    templates: int = 0
    began: float = field(default_factory=time.monotonic)


@pytest.fixture(scope="module")
def tally() -> Iterator[Tally]:
    """One for the module."""
    return Tally()


def analysed(
    paths: Sequence[Path], task: str, out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[list[dict], list[Dataset]]:
    """Rows of `analyse`, and the report in each of its classes; the first is the one that was written."""
    reports: list[Dataset] = []

    def build(content, evidence, captures, *, sop_class: str) -> Dataset:
        reports.extend(structured_report(content, evidence, captures, sop_class=one) for one in SR_CLASSES)
        assert sop_class == SR_CLASSES[0]
        return reports[0]

    monkeypatch.setattr(offline, "structured_report", build)
    request = offline.Request(tuple(paths), out, task, None, None)
    capsys.readouterr()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's remarks on what old scanners wrote
        code = offline.analyse(request, Settings(store=Store(data=out / "none")), as_json=True)
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert code == 0, rows
    return rows, reports


def judged(source: Path, out: Path, reports: Sequence[Dataset], task: str, tally: Tally, **options: object) -> None:
    """One set per class of report: captures, report, a verdict of another kind in each; in the first a note too."""
    captures = [path for path in sorted(out.glob("*.dcm")) if headers([path])[0].Modality == "OT"]
    assert captures
    documents = []
    for number, (report, verdict) in enumerate(zip(reports, VERDICTS, strict=True)):
        folder = out.parent / f"set{number}"
        made = [written(report, folder / "report.dcm")]
        assessed = verdict_on(report, verdict, task)
        assert assessed is not None
        made.append(written(assessed, folder / "verdict.dcm"))
        documents.append(made[0])
        if number == tally.templates % len(SR_CLASSES):
            documents.append(made[1])
        if number == 0:
            taken_back = [report, *headers(captures)]
            recall = Recall("Muster^Doktor", "Of another patient.", "2026-01-05T09:00:00")
            made.append(written(rejection_note(taken_back, recall, namespace="site"), folder / "note.dcm"))
        tally.objects += check_set(source, [*made, *captures], **options) - (len(captures) if number else 0)
    tally.templates += check_templates(documents)


@pytest.mark.parametrize("name", SOURCES)
def test_results_of_every_kind_of_source_are_sound(name, tmp_path, capsys, monkeypatch, tally):
    kind, make = SOURCES[name]
    path = tmp_path / "source.dcm"
    path.write_bytes(part10(make()))
    rows, reports = analysed([path], TASK[kind], tmp_path / "out", capsys, monkeypatch)
    assert rows[0]["status"] == "analysed", rows[0]["reason"]
    judged(path, tmp_path / "out", reports, TASK[kind], tally)
    tally.sources.add(name)
    if not pixelmed.is_installed():
        pytest.skip("all but PixelMed, which is not installed")


@pytest.mark.parametrize("path", sorted(REAL.glob("*.dcm")) or [None], ids=lambda path: path.stem if path else "absent")
def test_results_of_every_accepted_real_object_are_sound(path, tmp_path, capsys, monkeypatch, tally):
    if path is None:
        pytest.skip("no real ultrasound objects beside the repository")
    rows, reports = analysed([path], "lung-signs", tmp_path / "out", capsys, monkeypatch)
    if rows[0]["status"] != "analysed":
        pytest.skip(f"not accepted: {rows[0]['reason']}")
    judged(path, tmp_path / "out", reports, "lung-signs", tally, allowed=BROUGHT)
    tally.real += 1


def test_the_matrix_is_whole(tally, figure):
    """Comes last: what stands above must have run in the same session for its figures to mean anything."""
    if tally.sources != set(SOURCES):
        pytest.skip("only a part of the matrix was run")
    figure("kinds of source whose results are sound before every judge", f"{len(SOURCES)}", "all")
    figure("real objects that are accepted, and whose results are sound before every judge", f"{tally.real}", "all")
    figure("results judged by dciodvfy, dcentvfy, dsrdump and our own list: complaints", f"0 of {tally.objects}", "0")
    figure("reports and verdicts before PixelMed: complaints", f"0 of {tally.templates}", "0")
    figure("time for all of them, analysis included", f"{(time.monotonic() - tally.began) / 60:.0f} min", "")
