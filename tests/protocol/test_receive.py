"""The storage SCP on real sockets: what it accepts, what it refuses with which status, and what it leaves behind."""

import re
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path

import pytest
from pydicom.filereader import dcmread
from pydicom.uid import UID
from pynetdicom import AE, _config, build_context
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.sop_class import Verification

from dicom_ai.errors import OutOfSpace
from dicom_ai.instance import ULTRASOUND_CLASSES, US_IMAGE, US_MULTI_FRAME
from dicom_ai.ports import data_set_digest
from dicom_ai.receive.acceptor import PynetdicomAcceptor
from dicom_ai.receive.tables import (
    EXPLICIT_LE,
    OTHER_STORAGE_CLASSES,
    TRANSFER_SYNTAXES,
    accepted,
    is_implicit_vr,
    is_little_endian,
)
from dicom_ai.settings import Receive
from dicom_ai.store import tables
from dicom_ai.store.committer import Committer
from dicom_ai.store.files import Disk
from tests.ledger import Place, place, site
from tests.unit.test_receive_scan import encoded, header

pytestmark = pytest.mark.protocol

CT = "1.2.840.10008.5.1.4.1.1.2"
DEFLATED = "1.2.840.10008.1.2.1.99"


@dataclass
class Scp:
    """A running receiver with a real store behind it."""

    here: Place
    acceptor: PynetdicomAcceptor
    committer: Committer
    port: int = 0
    accept_all: bool = True
    refused: list[tuple[int, str]] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    is_welcome: bool = True
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    def objects(self) -> dict[str, bytes]:
        """SOP Instance UID -> data set as kept."""
        kept = {}
        for row in self.here.rows(tables.objects):
            raw = self.here.files.path(row.digest).read_bytes()
            meta = dcmread(BytesIO(raw), stop_before_pixels=True, specific_tags=[]).file_meta
            assert raw[:132] == b"\0" * 128 + b"DICM"
            assert meta.TransferSyntaxUID == row.transfer_syntax
            kept[row.sop_uid] = raw[132 + 12 + meta.FileMetaInformationGroupLength :]
            assert row.digest == data_set_digest(kept[row.sop_uid], row.transfer_syntax)
        return kept

    def spool(self) -> list[Path]:
        return list((self.here.data / "spool").iterdir())

    def wait_for_end(self, count: int = 1) -> None:
        until = time.monotonic() + 10
        while len(self.ended) < count:
            assert time.monotonic() < until, "the end of the association was not told"
            threading.Event().wait(0.02)


def scp_in(folder: Path, *, disk: Disk | None = None, **settings) -> Scp:
    here = place(folder, disk=disk, tables=site("pacs"))
    committer = Committer(here.keeper, wait_ms=5, batch=32)

    class Notices:
        def association_ended(self, association: str) -> None:
            committer.association_ended(association)
            scp.ended.append(association)

        def refused(self, association: str, status: int, reason: str) -> None:
            scp.refused.append((status, reason))

    def authorise(calling: str, called: str, address: str) -> bool:
        scp.asked.append((calling, called, address))
        return scp.is_welcome

    acceptor = PynetdicomAcceptor(
        Receive(port=0, **settings),
        lambda: accepted(scp.accept_all),
        authorise=authorise,
        keep=committer.keep,
        notices=Notices(),
        spool=here.files.new_spool,
    )
    scp = Scp(here, acceptor, committer)
    scp.port = acceptor.start()
    return scp


@pytest.fixture
def scp(tmp_path) -> Iterator[Scp]:
    running = scp_in(tmp_path)
    yield running
    running.acceptor.drain(0.5)
    running.committer.stop()
    running.here.engine.dispose()


def associate(scp: Scp, *contexts: tuple[str, str], called: str = "DICOM_AI", calling: str = "SCANNER"):
    ae = AE(ae_title=calling)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 20
    proposed = [build_context(sop_class, syntax) for sop_class, syntax in contexts] or [
        build_context(US_IMAGE, EXPLICIT_LE)
    ]
    return ae.associate("127.0.0.1", scp.port, contexts=proposed, ae_title=called)


def store(association, data_set: bytes, *, sop_class: str = US_IMAGE, uid: str = "", context: int = 1):
    """C-STORE of bytes as they are; the status, None without a response."""
    found = re.search(rb"1\.2\.3\.\d+", data_set)
    uid = uid or (found[0].decode() if found else "1.2.3.4")
    request = C_STORE()
    request.MessageID = 1
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = UID(sop_class), UID(uid)
    request.Priority = 0
    request.DataSet = BytesIO(data_set)
    association._reactor_checkpoint.clear()
    association.dimse.send_msg(request, context)
    _, response = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    return None if response is None else response.Status


def send(scp: Scp, data_set: bytes, **request):
    association = associate(scp)
    assert association.is_established
    status = store(association, data_set, **request)
    association.release()
    return status


def still(number: int = 4, size: int = 50_000, syntax: str = EXPLICIT_LE, **elements) -> bytes:
    ds = header(**{"SOPInstanceUID": f"1.2.3.{number}", **elements})
    pixels = bytes([number % 256]) * size
    order = "<" if is_little_endian(syntax) else ">"
    tag = struct.pack(order + "HH", 0x7FE0, 0x0010)
    vr = b"" if is_implicit_vr(syntax) else b"OW\0\0"
    return encoded(ds, syntax) + tag + vr + struct.pack(order + "L", size) + pixels


def test_echo_is_answered_within_two_seconds(scp):
    began = time.perf_counter()
    association = associate(scp, (Verification, EXPLICIT_LE))
    assert association.send_c_echo().Status == 0
    association.release()
    assert time.perf_counter() - began < 2


@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES)
def test_every_accepted_syntax_is_kept_as_sent(scp, syntax):
    sop_class = US_MULTI_FRAME
    sent = still(syntax=syntax, SOPClassUID=sop_class)
    association = associate(scp, (sop_class, syntax))
    assert [str(context.transfer_syntax[0]) for context in association.accepted_contexts] == [syntax]
    assert store(association, sent, sop_class=sop_class) == 0
    association.release()
    assert scp.objects() == {"1.2.3.4": sent}
    assert scp.spool() == []


@pytest.mark.parametrize("sop_class", sorted(ULTRASOUND_CLASSES))
def test_every_ultrasound_class_is_kept(scp, sop_class):
    scp.accept_all = False
    sent = still(SOPClassUID=sop_class)
    association = associate(scp, (sop_class, EXPLICIT_LE))
    assert store(association, sent, sop_class=sop_class) == 0
    association.release()
    assert scp.objects() == {"1.2.3.4": sent}


def test_other_classes_are_negotiated_only_where_everything_is_forwarded(scp):
    assert CT in OTHER_STORAGE_CLASSES
    scp.accept_all = False
    assert not associate(scp, (CT, EXPLICIT_LE)).is_established
    scp.accept_all = True
    association = associate(scp, (CT, EXPLICIT_LE))
    assert store(association, still(SOPClassUID=CT), sop_class=CT) == 0
    association.release()
    assert scp.here.rows(tables.objects)[0].state == "forwarded-only"


def test_deflated_is_not_negotiated(scp):
    assert not associate(scp, (US_IMAGE, DEFLATED)).is_established


def test_uncompressed_is_preferred_in_one_context(scp):
    ae = AE(ae_title="SCANNER")
    offered = [build_context(US_IMAGE, ["1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2", EXPLICIT_LE])]
    association = ae.associate("127.0.0.1", scp.port, contexts=offered, ae_title="DICOM_AI")
    assert association.accepted_contexts[0].transfer_syntax[0] == EXPLICIT_LE
    association.release()


def test_unknown_called_title_and_unwelcome_callers_are_rejected(scp):
    assert associate(scp, called="OTHER").is_rejected
    assert associate(scp).is_established
    scp.is_welcome = False
    stranger = associate(scp, calling="STRANGER")
    assert stranger.is_rejected
    assert stranger.acceptor.primitive.result == 1, "for good"
    assert ("STRANGER", "DICOM_AI", "127.0.0.1") in scp.asked


@pytest.mark.parametrize("check", ["_authorise", "_tables"])
def test_a_check_that_fails_rejects_for_now(scp, monkeypatch, check):
    def broken(*_):
        raise RuntimeError("no ledger")

    monkeypatch.setattr(scp.acceptor, check, broken)
    association = associate(scp)
    assert association.is_rejected
    assert association.acceptor.primitive.result == 2, "the caller should come again"


def test_duplicate_is_kept_once_and_other_content_is_kept_beside_it(scp):
    assert send(scp, still()) == 0
    assert send(scp, still()) == 0
    assert send(scp, still(size=60_000)) == 0
    assert sorted(row.state for row in scp.here.rows(tables.objects)) == ["conflict", "stored"]
    assert scp.refused == []
    assert scp.spool() == []


def test_other_content_under_a_kept_uid_is_refused_where_the_settings_say_so(scp):
    object.__setattr__(scp.here.keeper, "rules", replace(scp.here.keeper.rules, conflict="refuse"))
    assert send(scp, still()) == 0
    assert send(scp, still(size=60_000)) == 0x0111
    assert len(scp.objects()) == 1
    assert scp.refused == [(0x0111, "conflict")]
    assert scp.spool() == []


@pytest.mark.parametrize(
    ("data_set", "request_", "status"),
    [
        (b"garbage" * 100, {}, 0xC210),
        (b"\0", {}, 0xC210),
        (still()[:60], {}, 0xC210),
        (still(), {"uid": "1.2.3.5"}, 0xA900),
        (still(SOPClassUID=US_MULTI_FRAME), {}, 0xA900),
        (still(SOPClassUID=CT), {"sop_class": CT}, 0xA900),
        (still(SOPInstanceUID=""), {}, 0xC210),
    ],
    ids=["garbage", "one byte", "cut off", "other uid", "other class", "class without context", "no uid"],
)
def test_wrong_objects_are_refused_with_the_reason(scp, data_set, request_, status):
    assert send(scp, data_set, **request_) == status
    assert [each for each, _ in scp.refused] == [status]
    assert scp.objects() == {}
    assert scp.spool() == []
    assert send(scp, still()) == 0  # and the next object has its chance


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.parametrize("uid", ["../../x", "1.2/../../../etc", "1." + "2" * 63, "1.2.3 4"])
def test_identifiers_that_are_no_uids_become_no_names(scp, uid, tmp_path):
    before = set(tmp_path.rglob("*"))
    plain = encoded(header())
    old = b"UI\x08\x001.2.3.4\0"
    padded = uid.encode() + b"\0" * (len(uid) % 2)
    changed = plain.replace(old, b"UI" + struct.pack("<H", len(padded)) + padded)
    assert changed != plain
    association = associate(scp)
    assert store_raw(association, changed, uid) not in {0, None}
    association.abort()
    assert scp.objects() == {}
    assert {path for path in set(tmp_path.rglob("*")) - before if "ledger" not in path.name} == set()


def store_raw(association, data_set: bytes, uid: str):
    """As `store`, for UIDs that pynetdicom itself would not send."""
    request = C_STORE()
    request.MessageID, request.Priority = 1, 0
    request.AffectedSOPClassUID = UID(US_IMAGE)
    request.AffectedSOPInstanceUID = UID(uid[:64], validation_mode=0)
    request.DataSet = BytesIO(data_set)
    association._reactor_checkpoint.clear()
    association.dimse.send_msg(request, 1)
    _, response = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    return None if response is None else response.Status


@pytest.mark.parametrize("how", ["abort", "close"])
def test_an_object_that_breaks_off_leaves_no_trace(scp, how, tmp_path):
    before = {path for path in tmp_path.rglob("*") if "ledger" not in path.name}
    association = associate(scp)
    assert store(association, still(1)) == 0
    kept = {path for path in tmp_path.rglob("*") if "ledger" not in path.name}
    half = b"\x04\x00" + struct.pack(">L", 1000) + struct.pack(">LBB", 996, 1, 0) + b"\0" * 400
    raw = association.dul.socket.socket
    raw.sendall(half)
    if how == "abort":
        association.abort()
    else:
        raw.shutdown(socket.SHUT_RDWR)
        raw.close()
    scp.wait_for_end()
    assert {path for path in tmp_path.rglob("*") if "ledger" not in path.name} == kept
    assert len(kept - before) == 1
    assert list(scp.objects()) == ["1.2.3.1"]
    scp.committer.stop()
    assert scp.here.rows(tables.associations) == []


@pytest.mark.parametrize("end", ["release", "abort"])
def test_the_end_of_an_association_is_told_once(scp, end):
    association = associate(scp)
    for number in range(3):
        assert store(association, still(number)) == 0
    assert len(scp.here.rows(tables.associations)) == 1
    getattr(association, end)()
    scp.wait_for_end()
    scp.acceptor.drain(1)
    scp.committer.stop()
    assert len(scp.ended) == 1
    assert scp.here.rows(tables.associations) == []


def test_twenty_associations_in_parallel(scp):
    statuses: list[int] = []

    def scanner(number: int) -> None:
        association = associate(scp)
        for image in range(3):
            index = 10 * number + image
            statuses.append(store(association, still(index), uid=f"1.2.3.{index}"))
        association.release()

    threads = [threading.Thread(target=scanner, args=(number,)) for number in range(1, 21)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert statuses == [0] * 60
    assert scp.objects() == {
        f"1.2.3.{index}": still(index) for index in (10 * n + i for n in range(1, 21) for i in range(3))
    }


def test_more_associations_than_allowed_are_rejected_for_now(tmp_path):
    scp = scp_in(tmp_path, max_associations=2)
    open_ones = [associate(scp) for _ in range(2)]
    third = associate(scp)
    assert third.is_rejected
    assert third.acceptor.primitive.result == 0x02  # transient
    open_ones[0].release()
    until = time.monotonic() + 10
    while not (later := associate(scp)).is_established:
        assert time.monotonic() < until
    for association in (open_ones[1], later):
        association.release()
    scp.acceptor.drain(1)
    scp.committer.stop()


@pytest.mark.parametrize(("step", "reason"), [("rename", "no_space"), ("sync_file", "store_failed")])
def test_a_full_or_failing_disk_is_answered_a700(tmp_path, step, reason):
    def fail(*_):
        raise OSError(28, "injected")

    scp = scp_in(tmp_path, disk=Disk(**{step: fail}))
    assert send(scp, still()) == 0xA700
    assert scp.refused == [(0xA700, reason)]
    assert scp.objects() == {}
    assert scp.spool() == []
    scp.acceptor.drain(1)
    scp.committer.stop()


def test_below_the_watermark_nothing_is_written(scp, monkeypatch):
    def full():
        raise OutOfSpace

    monkeypatch.setattr(scp.acceptor, "_spool", full)
    assert send(scp, still()) == 0xA700
    assert scp.refused == [(0xA700, "no_space")]


def test_an_object_larger_than_allowed_is_refused(tmp_path):
    scp = scp_in(tmp_path, max_object_mib=1)
    assert send(scp, still(size=1 << 20)) == 0xA700
    assert scp.objects() == {}
    scp.acceptor.drain(1)
    scp.committer.stop()


def test_any_fault_is_answered(scp, monkeypatch):
    def faulty(_):
        raise ZeroDivisionError

    monkeypatch.setattr(scp.acceptor, "_keep", faulty)
    assert send(scp, still()) == 0x0110


def test_a_pdu_longer_than_agreed_ends_the_connection(scp):
    with socket.create_connection(("127.0.0.1", scp.port), timeout=10) as raw:
        raw.sendall(b"\x01\x00" + struct.pack(">L", 0xFFFFFFF0) + b"\0" * 64)
        try:
            while raw.recv(4096):
                pass
        except ConnectionError:
            pass
    assert send(scp, still()) == 0


def test_a_silent_association_is_ended(tmp_path):
    scp = scp_in(tmp_path, idle_timeout_s=0.5)
    association = associate(scp)
    assert store(association, still()) == 0
    scp.wait_for_end()
    scp.acceptor.drain(1)
    scp.committer.stop()


def test_drain_refuses_new_and_lets_open_ones_finish(scp):
    association = associate(scp)
    assert store(association, still(1)) == 0
    drained = threading.Thread(target=scp.acceptor.drain, args=(10,))
    drained.start()
    until = time.monotonic() + 5
    while True:
        try:
            socket.create_connection(("127.0.0.1", scp.port), timeout=1).close()
        except OSError:  # refused, or no longer taken from the backlog
            break
        assert time.monotonic() < until
    assert store(association, still(2), uid="1.2.3.2") == 0
    association.release()
    drained.join(10)
    assert not drained.is_alive()
    assert len(scp.objects()) == 2
    assert len(scp.ended) == 1


def test_drain_aborts_what_does_not_end(scp):
    association = associate(scp)
    assert store(association, still(1)) == 0
    began = time.monotonic()
    scp.acceptor.drain(0.2)
    assert time.monotonic() - began < 5
    assert len(scp.ended) == 1


def test_two_receivers_on_one_port_fail_with_a_domain_error(scp):
    from dicom_ai.errors import ResourceError

    second = PynetdicomAcceptor(
        Receive(port=scp.port),
        lambda: accepted(False),
        authorise=lambda *_: True,
        keep=scp.committer.keep,
        notices=None,
        spool=scp.here.files.new_spool,
    )
    with pytest.raises(ResourceError, match="listen"):
        second.start()


@pytest.mark.skipif(shutil.which("dcmsend") is None, reason="dcmtk is not installed")
@pytest.mark.parametrize("tool", ["storescu", "dcmsend"])
def test_dcmtk_sends_with_its_defaults(scp, tmp_path_factory, tool):
    folder = tmp_path_factory.mktemp("sent")
    sent = {}
    for number in range(1, 6):
        data_set = still(number)
        sent[f"1.2.3.{number}"] = data_set
        (folder / f"{number}.dcm").write_bytes(part10(data_set, f"1.2.3.{number}"))
    command = [tool, "-aec", "DICOM_AI", "127.0.0.1", str(scp.port), *(str(path) for path in sorted(folder.iterdir()))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert set(scp.objects()) == set(sent)


def part10(data_set: bytes, uid: str) -> bytes:
    from dicom_ai.instance import Instance
    from dicom_ai.receive.acceptor import file_head

    return file_head(Instance(uid, US_IMAGE, EXPLICIT_LE, "1.2.3", "1.2.3.1")) + data_set


def test_nothing_is_logged_about_the_patient(scp, caplog):
    import logging

    assert _config.LOG_HANDLER_LEVEL == "none"
    with caplog.at_level(logging.DEBUG):
        assert send(scp, still(PatientName="CANARY^Seven", PatientID="CANARY7")) == 0
        assert send(scp, still(PatientName="CANARY^Other", PatientID="CANARY7")) == 0, "a conflict, kept"
    assert "CANARY" not in caplog.text
