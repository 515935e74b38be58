"""The command `analyse`: one row per file, one per set, results on disk; nothing stops the other sets."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from pydicom import dcmread

from dicom_ai.classify.catalogue import Installed
from dicom_ai.commands import offline, offline_crop
from dicom_ai.errors import ModelError, SettingsError
from dicom_ai.report.header import part10
from dicom_ai.settings import Settings, Store
from dicom_ai.simulate.exam import Shot
from tests.workplace import SR_CLASSES, lung, tiny

torch.set_num_threads(1)
STILL = Shot(frozenset({"b_lines"}))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return tiny(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two studies, a copy, another content under a known UID, an object without regions, and a text file."""
    root = tmp_path_factory.mktemp("files")
    first, second, blind = lung(STILL, STILL, STILL)
    del blind.SequenceOfUltrasoundRegions
    (other,) = lung(STILL, seed=9)
    files = {"1-a": first, "1-b": second, "1-c": blind, "2-a": other}
    for name, ds in files.items():
        (root / f"{name}.dcm").write_bytes(part10(ds))
    shutil.copy(root / "1-a.dcm", root / "1-copy.dcm")
    second.StudyTime = "235959"
    (root / "1-x.dcm").write_bytes(part10(second))
    (root / "readme.txt").write_text("no DICOM")
    return root


def analysed(
    capsys: pytest.CaptureFixture[str], out: Path, *paths: Path, model: Path, task: str | None = "lung-signs"
) -> tuple[int, list[dict[str, Any]], list[dict[str, Any]]]:
    """Exit code, file rows, set rows."""
    request = offline.Request(paths, out, task, model, None)
    code = offline.analyse(request, Settings(store=Store(data=out / "none")), as_json=True)
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["row"] for row in rows] == sorted(row["row"] for row in rows)  # files first
    return code, [row for row in rows if row["row"] == "file"], [row for row in rows if row["row"] == "set"]


def test_every_file_and_every_set_has_a_row(
    tmp_path: Path, folder: Path, model: Installed, capsys: pytest.CaptureFixture[str]
) -> None:
    code, files, sets = analysed(capsys, tmp_path, folder, model=model.folder)
    assert code == 1  # the text file could not be read
    assert {Path(row["file"]).name: (row["status"], row["reason"]) for row in files} == {
        "1-a.dcm": ("analysed", None),
        "1-b.dcm": ("analysed", None),
        "1-c.dcm": ("quarantined", "no_regions"),
        "1-copy.dcm": ("analysed", None),
        "1-x.dcm": ("quarantined", "conflict"),
        "2-a.dcm": ("analysed", None),
        "readme.txt": ("failed", "unreadable"),
    }
    assert sorted((len(row["members"]), len(row["excluded"]), len(row["captures"])) for row in sets) == [
        (1, 0, 1),
        (3, 1, 2),
    ]
    for row in sets:
        report = dcmread(row["sr"])
        assert report.SOPClassUID == SR_CLASSES[0]
        assert report.StudyInstanceUID == row["study"]
        assert {dcmread(path).SOPInstanceUID for path in row["captures"]} == {Path(p).stem for p in row["captures"]}
        assert (row["model"], row["grade"], row["predecessor"]) == (model.card.digest, "demonstration", None)
        assert [one["class"] for one in row["findings"]] == ["a_lines", "b_lines"]
    assert {Path(row["sr"]).parent for row in sets} == {tmp_path}


def test_the_same_files_give_the_same_bytes(
    tmp_path: Path, folder: Path, model: Installed, capsys: pytest.CaptureFixture[str]
) -> None:
    told = []
    for name in ("one", "two"):
        analysed(capsys, tmp_path / name, folder / "1-a.dcm", folder / "1-b.dcm", model=model.folder)
        told.append({path.name: path.read_bytes() for path in (tmp_path / name).glob("*.dcm")})
    assert told[0] == told[1]
    assert len(told[0]) == 3


def test_an_image_without_finite_scores_is_left_out_of_a_report_that_says_so(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overflowing = {"size": 64, "channels": 1, "mean": [0.5], "std": [1e-40]}
    broken = tiny(tmp_path / "model", input=overflowing)
    code, files, sets = analysed(capsys, tmp_path / "out", folder / "1-a.dcm", folder / "2-a.dcm", model=broken.folder)
    assert code == 0
    assert [row["status"] for row in files] == ["analysed"] * 2
    assert [[one["reason"] for one in row["excluded"]] for row in sets] == [["non_finite"]] * 2
    assert {finding["state"] for row in sets for finding in row["findings"]} == {"indeterminate"}
    assert sorted(map(str, (tmp_path / "out").glob("*.dcm"))) == sorted(row["sr"] for row in sets)


def test_a_file_of_a_task_without_model_stops_no_other(
    tmp_path: Path,
    folder: Path,
    model: Installed,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "deploy").mkdir()
    site = '[[routes]]\ntask = "uterine-lesions"\ndescription_contains = "lung"\n'
    (tmp_path / "deploy" / "site.toml").write_text(site)
    monkeypatch.chdir(tmp_path)
    code, files, sets = analysed(capsys, tmp_path / "out", folder / "1-a.dcm", model=model.folder, task=None)
    assert (code, sets) == (0, [])
    assert [(row["status"], row["reason"]) for row in files] == [("quarantined", "no_model")]


def test_what_is_not_ours_is_skipped_with_its_reason(
    tmp_path: Path, model: Installed, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where no site file is
    (ds,) = lung(STILL)
    (tmp_path / "no route.dcm").write_bytes(part10(ds))
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    (tmp_path / "other class.dcm").write_bytes(part10(ds))
    code, files, sets = analysed(capsys, tmp_path / "out", tmp_path, model=model.folder, task=None)
    assert (code, sets) == (0, [])
    assert [(row["status"], row["reason"]) for row in files] == [("skipped", "no_task"), ("skipped", "not_ultrasound")]


def test_a_person_gets_tables(
    tmp_path: Path, folder: Path, model: Installed, capsys: pytest.CaptureFixture[str]
) -> None:
    request = offline.Request((folder / "2-a.dcm",), tmp_path, "lung-signs", model.folder, "20260102030405")
    assert offline.analyse(request, Settings(), as_json=False) == 0
    out = capsys.readouterr().out
    assert "analysed" in out
    assert "a_lines" in out
    report = next(ds for ds in map(dcmread, tmp_path.glob("*.dcm")) if ds.SOPClassUID in SR_CLASSES)
    assert (report.ContentDate, report.ContentTime) == ("20260102", "030405")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"task": "heart"}, SettingsError),
        ({"time": "yesterday"}, SettingsError),
        ({"paths": (Path("missing.dcm"),)}, SettingsError),
        ({"model": Path("nowhere")}, ModelError),
    ],
    ids=str,
)
def test_a_wrong_request_is_refused(
    tmp_path: Path, folder: Path, model: Installed, changes: dict[str, Any], error: type[Exception]
) -> None:
    request = {"paths": (folder / "2-a.dcm",), "out": tmp_path, "task": "lung-signs", "model": model.folder}
    with pytest.raises(error):
        offline.analyse(offline.Request(**{"time": None, **request, **changes}), Settings(), as_json=True)


def test_crop_shows_what_is_kept_and_why_not(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert offline_crop.crop([folder], offline_crop.Folders(tmp_path / "png"), Settings(), as_json=True) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    said = {Path(row["file"]).name: row for row in rows}
    assert {name: (row["status"], row["reason"]) for name, row in said.items() if name != "readme.txt"} == {
        **dict.fromkeys(("1-a.dcm", "1-b.dcm", "1-copy.dcm", "1-x.dcm", "2-a.dcm"), ("cropped", None)),
        "1-c.dcm": ("quarantined", "no_regions"),
    }
    assert all(Path(row["png"]).is_file() == (row["status"] == "cropped") for row in rows if row["png"])
    assert [name for name, row in said.items() if row["png"] is None] == ["1-c.dcm", "readme.txt"]
    assert set(rows[0]) == {
        "file", "status", "reason", "rows", "columns", "frames", "keep", "blanked", "box", "votes", "png",
        "export",
    }  # fmt: skip
