"""`dicom-ai crop --export`: what lies in the folder afterwards, and what never does."""

import errno
import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydicom import dcmread

from dicom_ai.commands import exporting, offline_crop
from dicom_ai.commands.exporting import MANIFEST, Exporter
from dicom_ai.commands.offline_crop import Folders
from dicom_ai.errors import ResourceError
from dicom_ai.kept import CropOutcome, Kept
from dicom_ai.report.header import part10
from dicom_ai.settings import Settings, Store
from dicom_ai.simulate.exam import Shot
from tests.e2e.validators import errors_of
from tests.exports import BLIND, NAME, Reader, pixels, plain
from tests.workplace import lung

SECRET = "5" * 64


def lines_of(folder: Path) -> list[dict]:
    """The latest line of each object, as whoever reads the manifest of a running export must take it."""
    lines = map(json.loads, (folder / MANIFEST).read_text(encoding="utf-8").splitlines())
    return list({line["object"]: line for line in lines}.values())


def written(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {MANIFEST}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "Testperson_Quirina.dcm"
    path.write_bytes(part10(plain(3)))
    return path


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def test_an_object_is_written_once_for_its_owner_only(file, out):
    kept = pixels(3)
    outcome, path = Exporter(out, SECRET, BLIND).add(file, kept.outcome, kept)
    assert outcome == kept.outcome
    assert re.fullmatch(r"[0-9a-f]{32}\.dcm", path.name)
    assert (path.stat().st_mode & 0o777, out.stat().st_mode & 0o777) == (0o600, 0o700)
    assert errors_of(path) == []
    before = path.read_bytes(), path.stat().st_mtime_ns
    _, again = Exporter(out, SECRET, BLIND).add(file, kept.outcome, kept)
    assert again == path
    assert path.read_bytes() == before[0]
    assert written(out) == {path.name}
    (line,) = lines_of(out)
    x0, y0, x1, y1 = kept.outcome.box
    assert line["output"] == path.name
    assert line["crop"] == {"x": x0, "y": y0, "rows": y1 - y0, "columns": x1 - x0}
    assert line["source"] == {"rows": 48, "columns": 64, "frames": 3}
    ds = dcmread(path)
    assert (ds.Rows, ds.Columns) == (line["crop"]["rows"], line["crop"]["columns"])
    assert NAME.split("^")[0].lower() not in (out / MANIFEST).read_text().lower()


@pytest.mark.parametrize(
    ("reader", "reread", "code"),
    [
        (Reader("text"), Path.read_bytes, "text_found"),
        (BLIND, lambda path: path.read_bytes() + b"\0\0", "trailing_bytes"),
        (BLIND, lambda path: b"", "preamble"),
    ],
)
def test_a_failed_proof_leaves_no_file_and_quarantines(file, out, reader, reread, code):
    kept = pixels(3)
    outcome, path = Exporter(out, SECRET, reader, reread=reread).add(file, kept.outcome, kept)
    assert (outcome.status, outcome.reason, path) == ("quarantined", "proof_failed", None)
    assert outcome.keep == ()
    assert written(out) == set()
    (line,) = lines_of(out)
    assert (line["output"], line["reason"], line["votes"]["proof"]) == (None, "proof_failed", [code])


def test_a_proof_that_fails_now_takes_the_earlier_file_away(file, out):
    kept = pixels(3)
    Exporter(out, SECRET, BLIND).add(file, kept.outcome, kept)
    assert len(written(out)) == 1
    Exporter(out, SECRET, Reader("text")).add(file, kept.outcome, kept)
    assert written(out) == set()
    assert [line["output"] for line in lines_of(out)] == [None]


def test_a_reader_that_does_not_work_leaves_nothing(file, out):
    class Broken:
        def find(self, frames):
            raise RuntimeError

    kept = pixels(3)
    with pytest.raises(RuntimeError):
        Exporter(out, SECRET, Broken()).add(file, kept.outcome, kept)
    assert written(out) == set()


def test_another_crop_takes_the_place_of_the_earlier_one(file, out):
    first, second = pixels(3), pixels(3, blanked=((20, 20, 24, 24),))
    _, old = Exporter(out, SECRET, BLIND).add(file, first.outcome, first)
    _, new = Exporter(out, SECRET, BLIND).add(file, second.outcome, second)
    assert old != new
    assert written(out) == {new.name}
    assert [line["output"] for line in lines_of(out)] == [new.name]


def test_a_refused_object_has_a_line_and_no_file(file, out):
    outcome = CropOutcome("quarantined", "no_regions", 48, 64, 3)
    assert Exporter(out, SECRET, BLIND).add(file, outcome, None) == (outcome, None)
    (line,) = lines_of(out)
    assert (line["status"], line["reason"], line["output"], line["crop"]) == ("quarantined", "no_regions", None, None)
    assert written(out) == set()


def test_another_file_under_the_name_is_never_overwritten(file, out):
    kept = pixels(3)
    _, path = Exporter(out, SECRET, BLIND).add(file, kept.outcome, kept)
    path.write_bytes(b"somebody's work")
    outcome, none = Exporter(out, SECRET, BLIND).add(file, kept.outcome, kept)
    assert (outcome.status, outcome.reason, none) == ("failed", "conflict", None)
    assert path.read_bytes() == b"somebody's work"


def test_the_header_of_the_same_instance_may_not_change_in_silence(file, out, tmp_path):
    kept = pixels(3)
    exporter = Exporter(out, SECRET, BLIND)
    _, path = exporter.add(file, kept.outcome, kept)
    other = tmp_path / "corrected.dcm"
    other.write_bytes(part10(plain(3, PatientID="ANOTHER")))
    outcome, none = exporter.add(other, kept.outcome, kept)
    assert (outcome.reason, none) == ("conflict", None)
    assert path.is_file()


def test_a_source_without_its_uids_is_unreadable(tmp_path, out):
    file = tmp_path / "x.dcm"
    file.write_bytes(part10(plain(StudyInstanceUID="")))
    kept = pixels()
    outcome, path = Exporter(out, SECRET, BLIND).add(file, kept.outcome, kept)
    assert (outcome.status, outcome.reason, path) == ("failed", "unreadable", None)


def test_votes_that_name_somebody_are_not_written(file, out):
    kept = pixels(3)
    named = Kept(
        kept.frames, kept.frame_numbers, CropOutcome(**{**kept.outcome.__dict__, "votes": {"layout": "for Testperson"}})
    )
    Exporter(out, SECRET, BLIND).add(file, named.outcome, named)
    assert lines_of(out)[0]["votes"] is None


def test_half_a_line_of_a_broken_run_is_forgotten(file, out):
    kept = pixels(3)
    _, path = Exporter(out, SECRET, BLIND).add(file, kept.outcome, kept)
    with (out / MANIFEST).open("a") as manifest:
        manifest.write('{"object": "beg')
    with Exporter(out, SECRET, BLIND) as exporter:
        exporter.add(file, kept.outcome, kept)
    assert [line["output"] for line in lines_of(out)] == [path.name]
    assert (out / MANIFEST).read_text().count("\n") == 1


def test_a_folder_that_cannot_be_used_is_one_sentence(file, tmp_path, monkeypatch):
    with pytest.raises(ResourceError):
        Exporter(file, SECRET, BLIND)
    exporter = Exporter(tmp_path / "out", SECRET, BLIND)
    kept = pixels(3)

    def full(path, data):
        raise OSError(errno.ENOSPC, "disk")

    monkeypatch.setattr(exporting, "_write_aside", full)
    with pytest.raises(ResourceError) as caught:
        exporter.add(file, kept.outcome, kept)
    assert "Testperson" not in str(caught.value)
    assert written(tmp_path / "out") == set()


def test_an_export_is_no_source(exam, tmp_path):
    folder = tmp_path / "exam"
    folder.mkdir()
    for name in ("0.dcm", "2.dcm"):
        (folder / name).write_bytes((exam / name).read_bytes())
    out = folder / "out"
    out.mkdir()
    (out / "earlier.dcm").write_bytes((exam / "0.dcm").read_bytes())
    found = offline_crop._sources([folder], Folders(export=out))
    assert [path.name for path in found] == ["0.dcm", "2.dcm"]


@pytest.fixture(scope="module")
def exam(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exam")
    shots = (
        Shot(frozenset({"b_lines"})),
        Shot(frozenset({"b_lines"}), frames=5),
        Shot(frozenset({"a_lines"}), rgb=True),
    )
    for number, ds in enumerate(lung(*shots)):
        (folder / f"{number}.dcm").write_bytes(part10(ds))
    (folder / "readme.txt").write_text("no DICOM")
    return folder


def test_the_command_exports_what_it_crops(exam, tmp_path, capsys):
    settings = Settings(store=Store(data=tmp_path / "data"))
    folders = Folders(png=tmp_path / "png", export=tmp_path / "out")
    assert offline_crop.crop([exam], folders, settings, as_json=True, reader=lambda: BLIND) == 1  # the text file
    captured = capsys.readouterr()
    rows = {Path(row["file"]).name: row for row in map(json.loads, captured.out.splitlines())}
    assert "site.json" in captured.err
    assert rows["readme.txt"]["export"] is None
    assert len(lines_of(tmp_path / "out")) == 4
    accepted = [name for name, row in rows.items() if row["status"] == "cropped"]
    assert len(accepted) >= 2
    assert {row["export"] is not None for row in rows.values() if row["status"] == "cropped"} == {True}
    for name in accepted:
        row, source = rows[name], dcmread(exam / name)
        ds = dcmread(row["export"])
        x0, y0, x1, y1 = row["box"]
        assert (ds.Rows, ds.Columns) == (y1 - y0, x1 - x0)
        assert ds.get("NumberOfFrames", 1) == source.get("NumberOfFrames", 1)
        assert errors_of(Path(row["export"])) == []
        if "NumberOfFrames" not in source:
            shown, kept = source.pixel_array[y0:y1, x0:x1], ds.pixel_array
            assert np.array_equal(kept[kept > 0], shown[kept > 0])


def test_the_reader_of_the_command_finds_a_name_that_is_written_over_the_tissue(file, out):
    blank = pixels(1)
    frame = np.full((120, 320, 1), 60, np.uint8)
    frame[::2, ::3] = 70
    clean = picture(blank, frame)
    painted = frame.copy()
    cv2.putText(painted, "TESTPERSON 4471", (20, 70), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (230,), 2, cv2.LINE_AA)
    named = picture(blank, painted)
    file.write_bytes(part10(plain()))
    with Exporter(out, SECRET, offline_crop._reader()) as exporter:
        outcome, path = exporter.add(file, named.outcome, named)
        assert (outcome.reason, outcome.votes["proof"], path) == ("proof_failed", ["text_found"], None)
        assert exporter.add(file, clean.outcome, clean)[1] is not None


def picture(like, frame):
    """A whole small frame as kept pixels."""
    rows, columns = frame.shape[:2]
    keep = (((0.0, 0.0), (float(columns), 0.0), (float(columns), float(rows)), (0.0, float(rows))),)
    outcome = replace(like.outcome, rows=rows, columns=columns, keep=keep, box=(0, 0, columns, rows))
    return Kept(frame[np.newaxis], (1,), outcome)
