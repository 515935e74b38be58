"""An archive that gives what nobody asked for: refused and listed, never in the set; by C-GET, C-MOVE and DICOMweb."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from dicom_ai.archive import dicomweb
from dicom_ai.archive.association import FIND, GET, MOVE
from dicom_ai.instance import US_IMAGE, US_MULTI_FRAME
from dicom_ai.report.header import part10
from tests.archives import Archive, archive
from tests.peers import free_port
from tests.pulled import digests, lies_in, pull, study

Objects = list[Dataset]
Bend = Callable[[Objects], Objects]
DAYS = ("--since", "2025-01-06", "--until", "2025-01-07")
CLASSES = (US_IMAGE, US_MULTI_FRAME)


def held() -> Objects:
    """Two studies of two patients, all in one transfer syntax."""
    return [ds for number in (0, 1) for ds in study(number, 2)]


@contextmanager
def listening(bend: Bend, way: str) -> Iterator[tuple[Archive, tuple[str, ...]]]:
    """An archive that bends what it gives, and how it is asked."""
    port = free_port()
    manners = {"give": bend, "classes": CLASSES, "sends_to": {"DICOM_AI": ("127.0.0.1", port)}}
    with archive(*held(), **manners) as there:
        words = ("--from", f"PACS@127.0.0.1:{there.port}", *DAYS)
        yield there, words if way == "C-GET" else (*words, "--move", f"DICOM_AI@127.0.0.1:{port}")


def foreign(objects: Objects) -> Objects:
    return [*objects, study(9, 10)[0]]


def of_another_patient(objects: Objects) -> Objects:
    objects = deepcopy(objects)
    objects[0].PatientID = "SOMEBODY-ELSE"
    return objects


def with_a_copy_of_another_patient(objects: Objects) -> Objects:
    return [*objects, of_another_patient(objects)[0]]


def with_half_its_pixels(objects: Objects) -> Objects:
    objects = deepcopy(objects)
    objects[0].PixelData = objects[0].PixelData[:100]
    return objects


def again_with_other_pixels(objects: Objects) -> Objects:
    other = deepcopy(objects[0])
    other.PixelData = bytes(len(other.PixelData))
    return [*objects, other]


def less_one(objects: Objects) -> Objects:
    return objects[1:]


def of_another_study(objects: Objects) -> Objects:
    objects = deepcopy(objects)
    objects[0].StudyInstanceUID = "1.2.3"
    return objects


@pytest.mark.parametrize(
    ("way", "bend", "word", "have", "is_complete"),
    [
        ("C-GET", foreign, "other_study", 4, True),
        ("C-MOVE", foreign, "other_study", 4, True),
        ("C-GET", of_another_patient, "other_patient", 2, True),
        ("C-MOVE", of_another_patient, "other_patient", 2, True),
        ("C-GET", with_a_copy_of_another_patient, "other_patient", 4, True),
        ("C-GET", with_half_its_pixels, "truncated", 2, False),
        ("C-MOVE", with_half_its_pixels, "truncated", 2, False),
        ("C-GET", again_with_other_pixels, "conflict", 4, True),
        ("C-GET", of_another_study, "other_study", 2, True),
    ],
)
def test_what_nobody_asked_for_is_refused(
    tmp_path: Path, way: str, bend: Bend, word: str, have: int, is_complete: bool
) -> None:
    with listening(bend, way) as (_, words):
        code, refused, last = pull(tmp_path / "out", *words)
    assert code == 1
    assert word in {row["reason"] for row in refused}
    assert (last["have"], last["complete"]) == (have, is_complete)
    truth = digests(held())
    assert lies_in(tmp_path / "out").items() <= truth.items(), "nothing else, and nothing in another form"
    assert b"SOMEBODY-ELSE" not in b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*.*"))


@pytest.mark.parametrize("way", ["C-GET", "C-MOVE"])
def test_what_is_not_sent_is_missing_until_it_is(tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicom_ai.pulling_from.GRACE_S", 0.3)
    port = free_port()
    with archive(*held(), classes=CLASSES, give=less_one, sends_to={"DICOM_AI": ("127.0.0.1", port)}) as there:
        words = ("--from", f"PACS@127.0.0.1:{there.port}", *DAYS)
        words = words if way == "C-GET" else (*words, "--move", f"DICOM_AI@127.0.0.1:{port}")
        code, refused, last = pull(tmp_path / "out", *words)
        assert (code, last["have"], last["wanted"], last["complete"]) == (1, 2, 2, False)
        assert [row["reason"] for row in refused] == ["not_sent"] * 2
        there.give = lambda objects: objects
        code, refused, last = pull(tmp_path / "out", *words)
    assert (code, refused, last["have"], last["complete"]) == (0, [], 4, True)
    assert lies_in(tmp_path / "out") == digests(held())


def test_what_broke_off_is_asked_for_again_by_the_next_run(tmp_path: Path) -> None:
    with listening(with_half_its_pixels, "C-GET") as (there, words):
        assert pull(tmp_path / "out", *words)[0] == 1
        there.give = lambda objects: objects
        code, refused, last = pull(tmp_path / "out", *words)
    assert (code, refused, last["have"]) == (0, [], 4)


def test_an_archive_that_floods_is_not_listened_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicom_ai.pulling._PAUSE_S", 0.0)
    monkeypatch.setattr("dicom_ai.archive.dimse.MOST_UNASKED", 3)
    many = [study(number, 50)[0] for number in range(10, 15)]
    with listening(lambda objects: [*many, *objects], "C-GET") as (_, words):
        code, _, last = pull(tmp_path / "out", *words)
    assert (code, last["have"]) == (1, 0)
    assert "nobody asked for" in last["trouble"]


@pytest.mark.parametrize(("models", "word"), [((FIND, MOVE), "C-MOVE"), ((GET,), "no such request")])
def test_an_archive_that_cannot_is_said_to(tmp_path: Path, models: tuple[str, ...], word: str) -> None:
    with archive(*held(), classes=CLASSES, models=models) as there:
        code, _, last = pull(tmp_path / "out", "--from", f"PACS@127.0.0.1:{there.port}", *DAYS)
    assert code == 1
    assert word in last["trouble"]


def test_who_is_not_the_archive_sends_nothing(tmp_path: Path) -> None:
    with listening(lambda objects: objects, "C-MOVE") as (_, words):
        code, _, last = pull(tmp_path / "out", *words, "--sender", "SOMEBODY")
    assert (code, last["have"]) == (1, 0)


class Liar(BaseHTTPRequestHandler):
    """DICOMweb for one study of one object, with `give` for what WADO-RS sends."""

    give: Callable[[Dataset], bytes]
    elsewhere = ""

    def do_GET(self) -> None:
        ds = held()[0]
        if "/instances/" in self.path:
            self._give(ds)
        elif "offset=0" not in self.path:
            self._say(b"[]", "application/dicom+json")
        else:
            told = {one.tag: ds[one.tag] for one in ds if one.VR not in {"OB", "OW", "SQ"}}
            answer = Dataset()
            answer.update(told)
            self._say(json.dumps([answer.to_json_dict()]).encode(), "application/dicom+json")

    def _give(self, ds: Dataset) -> None:
        if self.elsewhere:
            self.send_response(302)
            self.send_header("Location", self.elsewhere)
            self.end_headers()
            return
        part = b"\r\n--x\r\nContent-Type: application/dicom\r\n\r\n" + type(self).give(ds) + b"\r\n--x--"
        self._say(part, 'multipart/related; type="application/dicom"; boundary=x')

    def _say(self, content: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def web(**manners: object) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Liar", (Liar,), manners))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/dicom-web"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("give", "words", "have"),
    [
        (part10, set(), 1),
        (lambda ds: part10(of_another_patient([ds])[0]), {"other_patient"}, 0),
        (lambda ds: part10(study(9, 10)[0]), {"sop_mismatch"}, 0),
        (lambda ds: part10(ds)[:-20], {"truncated"}, 0),
        (lambda ds: b"<html>not now</html>", {"unreadable"}, 0),
    ],
    ids=["honest", "other patient", "other object", "truncated", "no DICOM"],
)
def test_a_web_service_that_gives_something_else(
    tmp_path: Path, give: Callable[[Dataset], bytes], words: set[str], have: int
) -> None:
    with web(give=staticmethod(give)) as url:
        code, refused, last = pull(tmp_path / "out", "--dicomweb", url, *DAYS)
    assert (code, last["have"]) == (1 if words else 0, have)
    assert words <= {row["reason"] for row in refused}
    assert len(lies_in(tmp_path / "out")) == have


def test_a_web_service_that_sends_us_elsewhere_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicom_ai.pulling._PAUSE_S", 0.0)
    called = []

    class Elsewhere(Liar):
        def do_GET(self) -> None:
            called.append(self.path)
            self._say(b"", "text/plain")

    server = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with web(elsewhere=f"http://127.0.0.1:{server.server_address[1]}/metadata") as url:
        code, _, last = pull(tmp_path / "out", "--dicomweb", url, *DAYS)
    server.shutdown()
    server.server_close()
    assert (code, last["have"], called) == (1, 0, [])


def test_a_web_service_that_does_not_end_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicom_ai.pulling._PAUSE_S", 0.0)
    monkeypatch.setattr(dicomweb, "LONGEST_ANSWER", 100)
    with web(give=staticmethod(part10)) as url:
        code, _, last = pull(tmp_path / "out", "--dicomweb", url, *DAYS)
    assert code == 1
    assert "ConnectionError" in last["trouble"]


def test_what_fails_names_no_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicom_ai.pulling._PAUSE_S", 0.0)
    (tmp_path / "list.csv").write_text("accession\nSECRET-4711\n", encoding="utf-8")
    words = ("--accessions", str(tmp_path / "list.csv"))
    for place in (("--dicomweb", f"http://127.0.0.1:{free_port()}/x"), ("--from", f"PACS@127.0.0.1:{free_port()}")):
        code, _, last = pull(tmp_path / place[0].strip("-"), *place, *words)
        assert code == 1
        assert last["trouble"]
        assert "4711" not in json.dumps(last)
