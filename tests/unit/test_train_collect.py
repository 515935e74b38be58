"""From folders and archives to a data set: what is kept, what is left out, and that nothing names anybody."""

import io
import json
import os
import signal
import stat
from pathlib import Path

import numpy as np
import pytest

from dicom_ai.kept import CropOutcome
from dicom_ai.report.header import part10
from dicom_ai.simulate.exam import Shot
from tests.collected import CLASSES, TASK, picture, save, save_clip, save_table, written_on
from tests.workplace import lung, small_cropper
from train.collect import REASONS_HERE, Wanted, collect, held, summary
from train.collect_key import keyed, site_key
from train.collect_plan import Rules, Source, units_of
from train.collect_work import Bench, Sizes
from train.labels import Reading, mapping_of
from train.tables import MANIFEST, read_data_set

READING = Reading(TASK, mapping_of(["none=none"], TASK))
KEY = bytes(32)
RULES = Rules(KEY, READING, is_harmless=False)
SIZES = Sizes(64, 4)
NAME = "DOE_JANE"


class NoCropper:
    """A folder of pictures needs none."""

    def crop(self, path, frame_limit):
        raise AssertionError("no DICOM object here")


def wanted(out: Path, **changes):
    usual = {"out": out, "sizes": SIZES, "cropped_by": "publisher", "looked_at": frozenset(), "reading": READING}
    return Wanted(**(usual | changes))


def bench(out: Path, cropper=None, looked_at=frozenset()):
    return Bench(out, SIZES, cropper or NoCropper(), looked_at)


def row(file: str, patient: str = NAME, label: str = "a_lines", **more):
    return {"file": file, "label": label, "patient_or_video_id": patient} | more


def fill(folder: Path) -> Path:
    """Stills, a clip with black frames, a black still, one with text, a copy, one that nobody tells of."""
    folder.mkdir()
    plain = [picture(seed, "a_lines") for seed in range(4)]
    save(folder / "one.png", plain[0])
    save(folder / f"{NAME}.jpg", plain[1])
    save(folder / "text.png", written_on(plain[2]))
    save(folder / "dark.png", plain[0] // 60)
    save(folder / "stranger.png", plain[3])
    save(folder / "copy.png", plain[0])
    save_clip(folder / "clip.mp4", [plain[3] * (n > 2) for n in range(9)])
    (folder / "torn.png").write_bytes((folder / "one.png").read_bytes()[:300])
    rows = [row(f"{name}.png") for name in ("one", "text", "dark", "copy", "torn", "gone")]
    rows += [row(f"{NAME}.jpg", "P2", "b_lines"), row("clip.mp4", "P3", "none")]
    save_table(folder / "labels.csv", rows)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("pictures") / NAME)


@pytest.fixture(scope="module")
def made(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("set")
    units = units_of([Source("ours", folder, folder / "labels.csv")], RULES)
    data_set, gone = collect(units, wanted(out), bench(out), units)
    return read_data_set(data_set.folder), gone, units


def test_what_is_kept_is_square_grey_and_labelled(made):
    data_set = made[0]
    assert [clip.frames for clip in data_set.clips] == [1, 1, 3]  # of six lit frames every second
    assert data_set.frames.shape == (5, 64, 64)
    assert data_set.frames.dtype == np.uint8
    assert all(frame.mean() > 10 for frame in data_set.frames)
    assert data_set.labels.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert {clip.cropped_by for clip in data_set.clips} == {"publisher"}
    assert data_set.shapes.min() > 100
    assert data_set.facts["black_frames"] == 3


def test_what_is_left_out_has_a_reason(made):
    reasons = {Path(one.file).stem: one.reason for one in made[1]}
    assert reasons == {
        "text": "text_on_tissue", "dark": "black", "copy": "duplicate", "torn": "unreadable", "gone": "missing_file",
        "stranger": "not_in_table",
    }  # fmt: skip
    assert all(one.meaning for one in made[1])
    told = summary(*made[:2])
    assert told["sources"][0]["classes"]["a_lines"] == {"clips": 1, "patients": 1, "asked": 3}
    assert sum(one["clips"] for one in told["left_out"]) == 6


def test_nothing_in_the_data_set_names_anybody(made):
    for file in made[0].folder.rglob("*"):
        if file.is_file():
            assert NAME not in str(file.relative_to(made[0].folder))
            assert NAME.encode() not in file.read_bytes()
    assert {clip.name for clip in made[0].clips} == {""}
    assert NAME not in repr(made[2])
    assert len({clip.patient for clip in made[0].clips}) == 3


def test_harmless_names_are_kept_on_request(folder):
    rules = Rules(KEY, READING, is_harmless=True)
    units = units_of([Source("ours", folder, folder / "labels.csv")], rules)
    assert "clip.mp4" in {unit.name for unit in units}


def test_a_person_who_looked_lets_text_pass(folder, tmp_path, made):
    (text,) = [one.id for one in made[1] if one.reason == "text_on_tissue"]
    units = [unit for unit in made[2] if unit.id == text]
    looked_at = frozenset({text})
    data_set, gone = collect(units, wanted(tmp_path, looked_at=looked_at), bench(tmp_path, None, looked_at), units)
    assert [clip.id for clip in data_set.clips] == [text]
    assert data_set.facts["looked_at"] == [text]
    assert gone == []


def test_a_run_that_was_killed_goes_on_where_it_was(made, tmp_path):
    units = [unit for unit in made[2] if not unit.reason]

    class Dying(Bench):
        def _worked(self, unit):
            if unit.id == units[2].id:
                os.kill(os.getpid(), signal.SIGKILL)
            return super()._worked(unit)

    child = os.fork()
    if child == 0:
        collect(units, wanted(tmp_path), Dying(tmp_path, SIZES, NoCropper()), units)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert not (tmp_path / MANIFEST).exists()
    done: list[str] = []

    class Counting(Bench):
        def _worked(self, unit):
            done.append(unit.id)
            return super()._worked(unit)

    data_set, _ = collect(units, wanted(tmp_path), Counting(tmp_path, SIZES, NoCropper()), units)
    assert done == [unit.id for unit in units[2:]]
    assert data_set.digest == made[0].digest
    assert (data_set.frames == made[0].frames).all()


def test_another_size_is_other_work():
    assert Sizes(64, 4).digest != Sizes(64, 5).digest != Sizes(65, 4).digest


def test_copies_that_contradict_each_other_are_both_left_out(tmp_path):
    for name in ("a.png", "b.png"):
        save(tmp_path / name, picture(0, "a_lines"))
    table = save_table(tmp_path / "labels.csv", [row("a.png"), row("b.png", label="b_lines")])
    units = units_of([Source("ours", tmp_path, table)], RULES)
    assert {unit.reason for unit in units} == {"copies_disagree"}


def test_pictures_without_a_table_are_left_out(tmp_path):
    save(tmp_path / "a.png", picture(0))
    (unit,) = units_of([Source("ours", tmp_path, None)], RULES)
    assert unit.reason == "not_in_table"


def test_nothing_kept_is_no_data_set(tmp_path):
    with pytest.raises(ValueError, match="nothing was kept"):
        collect([], wanted(tmp_path), bench(tmp_path), [])


def test_every_reason_of_its_own_is_produced_somewhere():
    tests = "".join(file.read_text() for file in Path(__file__).parent.glob("test_train_*.py"))
    assert all(f'"{reason}"' in tests for reason in REASONS_HERE)


def test_a_second_run_into_the_same_folder_is_refused(tmp_path):
    with held(tmp_path), pytest.raises(ValueError, match="another run"), held(tmp_path):
        pass


class TestKey:
    def test_it_is_made_once_for_its_owner(self, tmp_path):
        file = tmp_path / "keys" / "patients.key"
        first = site_key(file, tmp_path / "set")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert site_key(file, tmp_path / "set") == first
        assert len(first) == 32

    def test_one_that_others_may_read_or_that_would_travel_is_refused(self, tmp_path):
        site_key(tmp_path / "k", tmp_path / "set")
        (tmp_path / "k").chmod(0o640)
        with pytest.raises(ValueError, match="chmod 600"):
            site_key(tmp_path / "k", tmp_path / "set")
        with pytest.raises(ValueError, match="travel"):
            site_key(tmp_path / "set" / "k", tmp_path / "set")

    def test_a_damaged_one_is_never_replaced(self, tmp_path):
        (tmp_path / "k").touch(0o600)
        with pytest.raises(ValueError, match="backup"):
            site_key(tmp_path / "k", tmp_path / "set")
        assert (tmp_path / "k").read_bytes() == b""

    def test_patients_are_told_apart_by_key_and_kind(self):
        names = {keyed(key, kind, "P1") for key in (KEY, b"\1" * 32) for kind in ("patient", "file")}
        assert len(names) == 4
        assert keyed(KEY, "patient", " P1 ") == keyed(KEY, "patient", "P1")


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """A study of a still and a clip, and an object that names no patient and one without regions."""
    folder = tmp_path_factory.mktemp("archive")
    clip = Shot(frozenset({"b_lines"}), frames=6)
    objects = [*lung(Shot(frozenset({"a_lines"})), clip).objects, *lung(seed=6).objects]
    objects[2].PatientID = ""
    del objects[3].SequenceOfUltrasoundRegions
    for number, ds in enumerate(objects):
        (folder / f"{number}.dcm").write_bytes(part10(ds))
    return folder, objects


class TestArchive:
    def test_objects_go_through_the_crop_of_the_service(self, archive, tmp_path):
        folder, objects = archive
        units = units_of([Source("ours", folder, None)], RULES)
        assert [unit.reason for unit in units] == ["", "", "no_patient", ""]
        with small_cropper() as cropper:
            made, gone = collect(units, wanted(tmp_path), bench(tmp_path, cropper), units)
        assert {clip.cropped_by for clip in made.clips} == {"dicom_ai"}
        assert [clip.frames for clip in made.clips] == [1, 3]  # of six frames every second, at most four
        assert {one.reason for one in gone} == {"no_patient", "no_regions"}
        assert np.isnan(made.labels).all()
        (patient,) = {clip.patient for clip in made.clips}
        assert patient == keyed(KEY, "patient", objects[0].PatientID)
        text = json.dumps(made.facts) + (tmp_path / MANIFEST).read_text()
        assert str(objects[0].PatientID) not in text
        assert str(objects[0].PatientName).split("^", maxsplit=1)[0] not in text

    def test_a_table_tells_what_they_show(self, archive, tmp_path):
        table = save_table(tmp_path / "labels.csv", [row("0.dcm", "P1"), row("1.dcm", "P2", "b_lines")])
        for number in (0, 1):
            (tmp_path / f"{number}.dcm").write_bytes((archive[0] / f"{number}.dcm").read_bytes())
        units = units_of([Source("ours", tmp_path, table)], RULES)
        assert [unit.patient for unit in units] == [keyed(KEY, "patient", name) for name in ("P1", "P2")]
        assert [unit.labels["b_lines"] for unit in units] == [0.0, 1.0]

    def test_what_the_device_says_of_itself_is_taken_only_if_it_is_known(self, archive):
        from dicom_ai.headers import header
        from train.collect_plan import _device, _probe

        ds = header(archive[0] / "0.dcm")
        assert _device(ds, KEY) == "GE LOGIQE9"
        ds.ManufacturerModelName, ds.TransducerType = f"room of {NAME}", NAME
        assert _device(ds, KEY)
        assert NAME not in _device(ds, KEY)
        assert _device(ds, KEY) != _device(ds, bytes([1] * 32))
        assert _probe(ds) == ""

    def test_one_that_dies_in_the_decoder_is_left_out(self, archive, tmp_path):
        class Dying:
            def crop(self, path, frame_limit):
                return CropOutcome("quarantined", "decoder_died", 0, 0, 0), None

        units = units_of([Source("ours", archive[0], None)], RULES)[:1]
        assert bench(tmp_path, Dying()).done(units[0]).reason == "decoder_died"


def test_an_object_that_cannot_be_read_is_left_out(tmp_path):
    (tmp_path / "x").write_bytes(bytes(128) + b"DICM" + b"\xff" * 20)
    (unit,) = units_of([Source("ours", tmp_path, None)], RULES)
    assert unit.reason in {"unreadable", "no_patient"}


class TestCommand:
    def run(self, *arguments: str):
        from typer.testing import CliRunner

        from train.__main__ import app

        return CliRunner().invoke(app, ["collect", *arguments])

    def test_pictures_need_somebody_who_cropped_them(self, folder, tmp_path):
        said = self.run(str(folder), "--out", str(tmp_path / "set"), "--task", TASK, "--classes", "none=none",
                        "--key", str(tmp_path / "k"))  # fmt: skip
        assert said.exit_code == 2
        assert "--cropped-by" in said.output

    def test_it_tells_rows_and_writes_a_set_and_sheets(self, folder, tmp_path):
        out = tmp_path / "set"
        said = self.run(f"ours={folder}", "--out", str(out), "--task", TASK, "--classes", "none=none", "--json",
                        "--key", str(tmp_path / "k"), "--cropped-by", "publisher", "--size", "64", "--frames", "2",
                        "--sheets", str(tmp_path / "sheets"), "--tidy")  # fmt: skip
        assert said.exit_code == 0, said.output
        rows = [json.loads(line) for line in io.StringIO(said.stdout) if line.startswith("{")]
        assert [one["row"] for one in rows] == ["left_out"] * 6 + ["data_set"]
        assert rows[-1]["digest"] == read_data_set(out).digest
        assert not list(out.glob("work-*"))
        assert {path.name for path in (tmp_path / "sheets").iterdir()} >= {
            "kept-1.png",
            "left-out-text_on_tissue-1.png",
        }
        assert read_data_set(out).class_ids == CLASSES

    def test_an_unmapped_label_stops_with_its_name(self, tmp_path):
        save(tmp_path / "a.png", picture(0))
        save_table(tmp_path / "labels.csv", [row("a.png", label="curtain")])
        said = self.run(str(tmp_path), "--out", str(tmp_path / "set"), "--task", TASK, "--key", str(tmp_path / "k"),
                        "--cropped-by", "me")  # fmt: skip
        assert said.exit_code == 2
        assert "curtain" in said.output
