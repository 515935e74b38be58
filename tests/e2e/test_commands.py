"""The commands as programs use them: rows, exit codes, the ready line, and a service that stops when told to.

Exit codes: 0 nothing failed, 1 something failed, 2 usage or settings, 3 another instance holds the data folder.
"""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydicom import dcmread

import dicom_ai
from dicom_ai.reasons import REASONS
from dicom_ai.simulate.exam import Shot, exam
from dicom_ai.simulate.patients import patient_of
from tests.e2e.pacs import Simulated
from tests.e2e.scanner import part10
from tests.e2e.service import Service, environment, rows, run, service
from tests.peers import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(280)]

CROP_KEYS = {
    *("file", "status", "reason", "rows", "columns", "frames", "keep", "blanked", "box", "votes", "png", "export"),
}
VOTES = {"regions", "layout", "support"}


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service without a destination."""
    with service(tmp_path_factory.mktemp("commands")) as running:
        yield running


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two stills of a simulated study, and a text."""
    folder = tmp_path_factory.mktemp("files")
    drawn = exam("lung", seed=3, patient=patient_of(3), content=(Shot(frozenset()), Shot(frozenset({"b_lines"}))))
    for number, ds in enumerate(drawn):
        (folder / f"{number}.dcm").write_bytes(part10(ds))
    (folder / "notes.txt").write_text("no DICOM at all " * 50)
    return folder


@contextmanager
def simulated_pacs(folder: Path, *manners: str) -> Iterator[tuple[int, Path]]:
    """`dicom-ai simulate pacs` as a process: its port and the file with its rows."""
    port, out = free_port(), folder / "rows.jsonl"
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "dicom_ai", "simulate", "pacs", "--port", str(port), "--out", str(folder / "in")]
    for text in manners:
        command += ["--manners", text]
    with out.open("w") as stdout:
        process = subprocess.Popen(command, stdout=stdout, cwd=folder, env=environment())
        try:
            deadline = time.monotonic() + 60
            while not out.read_text().endswith("\n"):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
            assert rows(out.read_text()) == [{"ready": True, "ae": "PACS", "port": port}]
            yield port, out
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()
            process.wait(5)


class TestServe:
    def test_the_ready_line_says_where_it_listens(self, one: Service) -> None:
        assert json.loads((one.folder / "ready.json").read_text()) == {
            "ready": True,
            "ae": "DICOM_AI",
            "port": one.port,
            "web": None,
            "pid": one.pid_of("supervisor"),
            "version": dicom_ai.__version__,
        }

    def test_a_second_instance_on_the_folder_ends_with_3(self, one: Service) -> None:
        done = one.command("serve", "--data", one.data, "--port", "0")
        assert (done.returncode, done.stdout) == (3, "")
        assert "Another instance holds the data folder" in done.stderr

    def test_all_wrong_settings_are_listed_at_once_and_end_it_with_2(self, tmp_path: Path) -> None:
        path = tmp_path / "wrong.toml"
        path.write_text('[receive]\nport = 99999\nae_titel = "X"\n[site]\ntimezone = "Mars/Olympus"\n')
        done = run(
            "serve",
            "--settings",
            path,
            cwd=tmp_path,
            env=environment(DICOM_AI_CROP__CHILDREN="0", DICOM_AI_COLOUR="red"),
        )
        assert (done.returncode, done.stdout) == (2, "")
        for said in ("receive.port", "receive.ae_titel", "site.timezone", "crop.children", "DICOM_AI_COLOUR"):
            assert said in done.stderr
        assert "Traceback" not in done.stderr

    def test_an_unknown_role_is_a_usage_error(self, tmp_path: Path) -> None:
        done = run("serve", "--data", tmp_path / "data", "--roles", "receive,magic", cwd=tmp_path)
        assert done.returncode == 2
        assert "magic" in done.stderr

    def test_a_port_that_is_taken_is_said_and_ends_it_with_1(self, one: Service, tmp_path: Path) -> None:
        done = run("serve", "--data", tmp_path / "data", "--port", str(one.port), cwd=tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert f"cannot listen on 127.0.0.1:{one.port}" in done.stderr

    @pytest.mark.parametrize("role", ["supervisor", "receive"])
    def test_what_faces_the_network_never_maps_torch(self, one: Service, role: str) -> None:
        maps = Path(f"/proc/{one.pid_of(role)}/maps").read_text()
        assert "python3" in maps
        assert "libtorch" not in maps
        assert "libtorch" in Path(f"/proc/{one.pid_of('work')}/maps").read_text()

    def test_sigterm_in_the_middle_of_work_ends_every_process_in_time(self, tmp_path: Path, files: Path) -> None:
        running = Service(tmp_path)
        try:
            running.start()
            done = running.command("send", files / "0.dcm", "--to", f"DICOM_AI@127.0.0.1:{running.port}")
            assert done.returncode == 0, done.stdout + done.stderr
            running.wait_until(lambda: running.pid_of("child") is not None or running.is_at_rest(), 60, "work")
            begun = time.monotonic()
            assert running.stop(30) == 0
            assert time.monotonic() - begun < 30
            assert running.processes() == {}
        finally:
            running.close()


class TestEchoAndSend:
    def test_echo_answers(self, one: Service, tmp_path: Path) -> None:
        done = run("echo", "--to", f"DICOM_AI@127.0.0.1:{one.port}", cwd=tmp_path)
        assert done.returncode == 0
        assert re.search(r"answered in \d+ ms", done.stdout)

    def test_echo_of_nobody_ends_with_1_and_one_sentence(self, tmp_path: Path) -> None:
        done = run("echo", "--to", f"NOBODY@127.0.0.1:{free_port()}", cwd=tmp_path)
        assert done.returncode == 1
        assert len(done.stderr.strip().splitlines()) == 1

    def test_an_address_that_is_none_is_a_usage_error(self, tmp_path: Path) -> None:
        assert run("echo", "--to", "somewhere", cwd=tmp_path).returncode == 2

    def test_send_says_what_became_of_every_file(self, files: Path, tmp_path: Path) -> None:
        with simulated_pacs(tmp_path / "pacs") as (port, log):
            done = run("send", files, "--to", f"PACS@127.0.0.1:{port}", "--json", cwd=tmp_path)
            sent = {Path(row["file"]).name: row["status"] for row in rows(done.stdout)}
            assert sent == {"0.dcm": "sent", "1.dcm": "sent", "notes.txt": "failed"}
            assert done.returncode == 1
            arrived = rows(log.read_text())[1:]
        assert sorted(row["status"] for row in arrived) == ["0x0000", "0x0000"]
        kept = [dcmread(path) for path in (tmp_path / "pacs" / "in").rglob("*.dcm")]
        assert sorted(ds.SOPInstanceUID for ds in kept) == sorted(row["sop_uid"] for row in arrived)

    def test_send_to_a_pacs_that_refuses_fails(self, files: Path, tmp_path: Path) -> None:
        with simulated_pacs(tmp_path / "pacs", "status:A700") as (port, _):
            done = run("send", files / "0.dcm", "--to", f"PACS@127.0.0.1:{port}", "--json", cwd=tmp_path)
        (row,) = rows(done.stdout)
        assert (done.returncode, row["status"], row["dimse"]) == (1, "failed", "0xA700")


class TestSimulate:
    def test_a_scanner_prints_a_row_per_object(self, tmp_path: Path) -> None:
        with Simulated(tmp_path / "pacs") as pacs:
            to = f"PACS@127.0.0.1:{pacs.port}"
            done = run("simulate", "scanner", "--exam", "uterus", "--seed", "4", "--to", to, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        printed = rows(done.stdout)
        assert [row["status"] for row in printed] == ["0x0000"] * 3
        assert {row["sop_uid"] for row in printed} == {uid for uid, _ in pacs.wire}

    def test_a_scanner_that_aborts_leaves_a_whole_object_or_none(self, one: Service, tmp_path: Path) -> None:
        to = f"DICOM_AI@127.0.0.1:{one.port}"
        done = run(
            "simulate", "scanner", "--exam", "uterus", "--seed", "6", "--abort-at", "2", "--to", to, cwd=tmp_path
        )
        assert done.returncode == 1
        assert [row["status"] for row in rows(done.stdout)] == ["0x0000", "aborted"]
        first, second = (row["sop_uid"] for row in rows(done.stdout))
        one.wait_until(lambda: not list((one.data / "spool").glob("*.part")), 20, "an empty spool")
        assert one.select("SELECT count(*) FROM objects WHERE sop_uid = ?", first) == [(1,)]
        assert one.select("SELECT count(*) FROM objects WHERE sop_uid = ?", second) == [(0,)]

    @pytest.mark.parametrize("option", [("--device", "toaster"), ("--exam", "knee"), ("--studies", "0")])
    def test_a_scanner_nobody_makes_is_a_usage_error(self, tmp_path: Path, option: tuple[str, str]) -> None:
        done = run("simulate", "scanner", "--to", "A@127.0.0.1:1", *option, cwd=tmp_path)
        assert done.returncode == 2

    def test_manners_nobody_has_are_a_usage_error(self, tmp_path: Path) -> None:
        done = run("simulate", "pacs", "--port", "0", "--out", tmp_path, "--manners", "polite", cwd=tmp_path)
        assert done.returncode == 2
        assert "polite" in done.stderr


class TestApplyAndReasons:
    def test_apply_puts_a_new_version_into_force_and_the_same_one_not_again(self, one: Service) -> None:
        same, other = one.folder / "site.toml", one.folder / "other.toml"
        other.write_text(same.read_text() + '[[peers]]\nae_title = "NEW"\n')
        for path, version, peers in ((same, 1, 0), (other, 2, 1), (other, 2, 1)):
            done = one.command("apply", path, "--data", one.data, "--by", "me")
            assert done.returncode == 0
            assert f"version {version} in force: 2 routes, 0 destinations, {peers} peers" in done.stdout
        assert one.select('SELECT version, "by" FROM sites ORDER BY version') == [(1, "cli"), (2, "me")]

    def test_apply_of_a_wrong_file_lists_every_problem(self, one: Service, tmp_path: Path) -> None:
        path = tmp_path / "site.toml"
        path.write_text(
            '[[routes]]\ntask = "teeth"\n[[destinations]]\nname = "x"\nae_title = "X"\nhost = "h"\nport = 0\n'
        )
        done = one.command("apply", path, "--data", one.data)
        assert done.returncode == 2
        assert "routes.0.task" in done.stderr
        assert "destinations.0.port" in done.stderr

    def test_reasons_are_the_closed_list(self, tmp_path: Path) -> None:
        done = run("reasons", "--json", cwd=tmp_path)
        assert done.returncode == 0
        printed = rows(done.stdout)
        assert [row["code"] for row in printed] == list(REASONS)
        assert all(row["meaning"] and row["meaning_zh"] and row["remedy"] for row in printed)


class TestCrop:
    def test_rows_and_pictures(self, files: Path, tmp_path: Path) -> None:
        done = run("crop", files, "--json", "--png", tmp_path / "png", cwd=tmp_path)
        assert done.returncode == 1, "one file cannot be read"
        by_name = {Path(row["file"]).name: row for row in rows(done.stdout)}
        assert set(by_name) == {"0.dcm", "1.dcm", "notes.txt"}
        for row in by_name.values():
            assert set(row) == CROP_KEYS
            assert set(row["votes"]) - {"text"} == VOTES
        text = by_name.pop("notes.txt")
        assert (text["status"], text["reason"], text["png"]) == ("failed", "unreadable", None)
        for row in by_name.values():
            assert (row["status"], row["reason"]) == ("cropped", None)
            assert row["votes"]["text"]["hits"] == 0
            picture = cv2.imread(row["png"], cv2.IMREAD_GRAYSCALE)
            assert picture is not None
            assert picture.shape == (row["rows"], row["columns"])
            x0, y0, x1, y1 = row["box"]
            beside = picture.copy()
            beside[y0:y1, x0:x1] = 0
            assert not beside.any(), "black outside the box"
            assert np.count_nonzero(picture) > 50_000
