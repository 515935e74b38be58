"""Results of every kind of source, made by the command `analyse`, before all validators and our own list.

Devices, lengths, encodings, character sets, missing attributes, real objects. Long: run by `make verify`. Skipped
visibly where a tool is missing; PixelMed is asked about every report where it is installed.
"""

import json
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from dicom_ai.commands import offline, pixelmed
from dicom_ai.commands.validate import findings
from dicom_ai.report.checklist.judge import complaints, is_ours, set_complaints
from dicom_ai.report.header import part10
from dicom_ai.settings import Settings, Store
from dicom_ai.simulate.device import devices
from dicom_ai.simulate.exam import Shot, exam
from dicom_ai.simulate.patients import patient_of
from tests.builders_report import TYPE_2
from tests.pixels import with_palette
from tests.unit.test_report_validators import ALLOWED, ENTITY, tool

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "us"
LABEL = {"lung": "b_lines", "uterus": "endometrial_polyp"}
TASK = {"lung": "lung-signs", "uterus": "uterine-lesions"}
# What a source brings into patient, study or scanner equipment of its results: theirs, carried on as stated.
BROUGHT = re.compile(
    ALLOWED.pattern + r"|Illegal root for UID = <999\.999|Retired Person Name form|Value is zero"
    r"|</ProcedureCodeSequence.*Unrecognized defined term"
)

pytestmark = pytest.mark.verify


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
    "zone": ("lung", changed(lambda ds: setattr(ds, "TimezoneOffsetFromUTC", "+0800"))),
    "laterality": (
        "lung",
        changed(lambda ds: (setattr(ds, "BodyPartExamined", "LUNG"), setattr(ds, "Laterality", "R"))),
    ),
}


def analysed(paths: Sequence[Path], task: str, out: Path, capsys: pytest.CaptureFixture[str]) -> list[dict]:
    request = offline.Request(tuple(paths), out, task, None, None)
    capsys.readouterr()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's remarks on what old scanners wrote
        code = offline.analyse(request, Settings(store=Store(data=out / "none")), as_json=True)
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert code == 0, rows
    return rows


def added(sources: Sequence[Dataset], results: Sequence[Dataset]) -> re.Pattern[str]:
    """What dcentvfy may say: attributes that results must have, empty, and their source has not.

    De-identification Method is the exception: it must have a value once Patient Identity Removed is YES.
    """
    empty = {
        element.keyword
        for ds in results
        for element in ds
        if not element.value or element.keyword == "DeidentificationMethod"
    }
    lacking = [keyword for keyword in sorted(empty) if any(keyword not in source for source in sources)]
    there = rf"present in one instance but not the other - Element=<({'|'.join(lacking)})> IE=<(Patient|Study)>"
    return re.compile(rf"{ENTITY.pattern}|{there}" if lacking else ENTITY.pattern)


def in_unicode(ds: Dataset, folder: Path) -> Path:
    """A source in the character set of its results: dcentvfy compares bytes, not names."""
    ds.decode()
    ds.SpecificCharacterSet = "ISO_IR 192"
    path = folder / "unicode" / "source.dcm"
    path.parent.mkdir(exist_ok=True)
    ds.save_as(path)
    return path


def proven(source: Path, out: Path, allowed: re.Pattern[str]) -> int:
    """Put everything before every judge; how many results there were."""
    for name in ("dciodvfy", "dcentvfy", "dsrdump"):
        tool(name)
    results = sorted(out.glob("*.dcm"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        origin = dcmread(source)
        headers = [dcmread(path, stop_before_pixels=True) for path in results]
        entity, readable = added([origin], headers), in_unicode(origin, out.parent)
        everything = [dcmread(source, stop_before_pixels=True), *headers]
    for path, ds in zip(results, headers, strict=True):
        assert [line for line in findings("dciodvfy", path) if not allowed.search(line)] == []
        assert is_ours(ds)
        assert [complaint.line() for complaint in complaints(ds, everything)] == []
        if ds.Modality == "SR":
            assert [line for line in findings("dsrdump", path) if not line.startswith("W:")] == []
            assert findings("pixelmed", path) == [] if pixelmed.is_installed() else True
    assert [complaint.line() for complaint in set_complaints(everything)] == []
    assert [line for line in findings("dcentvfy", readable, *results) if not entity.search(line)] == []
    return len(results)


@pytest.mark.parametrize("name", SOURCES)
def test_results_of_every_kind_of_source_are_sound(name, tmp_path, capsys, figure):
    kind, make = SOURCES[name]
    path = tmp_path / "source.dcm"
    path.write_bytes(part10(make()))
    rows = analysed([path], TASK[kind], tmp_path / "out", capsys)
    assert rows[0]["status"] == "analysed", rows[0]["reason"]
    assert proven(path, tmp_path / "out", ALLOWED) >= 2
    if name == next(reversed(SOURCES)):
        figure("kinds of source whose results are sound before every validator", f"{len(SOURCES)}", "all")
    if not pixelmed.is_installed():
        pytest.skip("all but PixelMed, which is not installed")


@pytest.mark.parametrize("path", sorted(REAL.glob("*.dcm")) or [None], ids=lambda path: path.stem if path else "absent")
def test_results_of_every_accepted_real_object_are_sound(path, tmp_path, capsys):
    if path is None:
        pytest.skip("no real ultrasound objects beside the repository")
    rows = analysed([path], "lung-signs", tmp_path / "out", capsys)
    if rows[0]["status"] != "analysed":
        pytest.skip(f"not accepted: {rows[0]['reason']}")
    assert proven(path, tmp_path / "out", BROUGHT) >= 2
