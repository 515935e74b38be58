"""Receiving as hospitals do it: clocks that are set, doubled senders, scanners that vanish, streams without an end."""

import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE

from dicom_ai.instance import US_IMAGE
from dicom_ai.store import settling, tables
from dicom_ai.store.database import write
from dicom_ai.store.settling import Settled
from tests.protocol.test_receive import Scp, associate, scp_in, send, still, store

pytestmark = pytest.mark.protocol

QUIET = 60.0
MIB = 1 << 20


@contextmanager
def receiving(folder: Path, **settings: object) -> Iterator[Scp]:
    running = scp_in(folder, **settings)
    try:
        yield running
    finally:
        running.acceptor.drain(0.5)
        running.committer.stop()
        running.here.engine.dispose()


@pytest.fixture
def scp(tmp_path: Path) -> Iterator[Scp]:
    with receiving(tmp_path) as running:
        yield running


def look(scp: Scp) -> Settled:
    here, (row,) = scp.here, scp.here.rows(tables.sets)
    with write(here.engine) as connection:
        return settling.decide(connection, row.id, now=here.clock(), quiet_s=(QUIET, 2 * QUIET), enqueue=here.jobs)


def wait_for_no_association(scp: Scp) -> None:
    until = time.monotonic() + 10
    while scp.here.rows(tables.associations):
        assert time.monotonic() < until, "the end of the association was not written down"
        time.sleep(0.02)


def first_half(association: Association, data_set: bytes) -> bytes:
    """PDUs of a C-STORE request with the command and half of its data set."""
    request = C_STORE()
    request.MessageID, request.Priority = 9, 0
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = US_IMAGE, "1.2.3.3"
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    message.command_set.CommandDataSetType = 1
    (command,) = message.encode_msg(1, 16_384)
    pdvs = command.presentation_data_value_list
    return b"".join(p_data(pdv[1]) for pdv in pdvs) + p_data(b"\0" + data_set[: len(data_set) // 2])


def p_data(fragment: bytes, context: int = 1) -> bytes:
    """One P-DATA-TF PDU with one fragment, control header included."""
    pdv = struct.pack(">LB", len(fragment) + 1, context) + fragment
    return b"\x04\0" + struct.pack(">L", len(pdv)) + pdv


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_clock_set_during_an_association_loses_nothing(scp: Scp, hours: int) -> None:
    association = associate(scp)
    assert store(association, still(1)) == 0
    scp.here.clock.forward(3600 * hours)
    assert look(scp) is Settled.LATER
    assert store(association, still(2)) == 0
    association.release()
    wait_for_no_association(scp)
    assert look(scp) is Settled.LATER
    scp.here.clock.forward(QUIET)
    assert look(scp) is Settled.CLOSED
    assert len(scp.here.rows(tables.members)) == 2


def test_one_object_over_two_associations_at_once_is_one_object(scp: Scp) -> None:
    associations = [associate(scp) for _ in range(2)]
    statuses: list[int | None] = []
    for number in range(1, 9):
        gate = threading.Barrier(2)

        def sender(one: Association, content: bytes = still(number), gate: threading.Barrier = gate) -> None:
            gate.wait(10)
            statuses.append(store(one, content))

        threads = [threading.Thread(target=sender, args=(one,)) for one in associations]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    for association in associations:
        association.release()
    assert statuses == [0] * 16
    assert scp.objects() == {f"1.2.3.{number}": still(number) for number in range(1, 9)}
    assert [row.kind for row in scp.here.rows(tables.events)].count("received") == 8
    assert len(scp.here.rows(tables.members)) == len(scp.here.rows(tables.deliveries)) == 8
    assert len(scp.here.rows(tables.sets)) == 1
    assert scp.here.rows(tables.conflicts) == []
    assert scp.spool() == []


def test_a_scanner_switched_off_in_the_third_of_five_objects(scp: Scp, tmp_path: Path) -> None:
    association = associate(scp)
    for number in (1, 2):
        assert store(association, still(number)) == 0
    association.dul.socket.socket.sendall(first_half(association, still(3)))
    time.sleep(0.1)
    association.abort()
    wait_for_no_association(scp)
    assert list(scp.objects()) == ["1.2.3.1", "1.2.3.2"]
    assert scp.spool() == []
    assert len(list((tmp_path / "store").rglob("*.dcm"))) == 2
    scp.here.clock.forward(QUIET - 1)
    assert look(scp) is Settled.LATER
    scp.here.clock.forward(1)
    assert look(scp) is Settled.CLOSED
    assert len(scp.here.rows(tables.members)) == 2


def test_a_scanner_that_never_releases_does_not_keep_its_study_open(tmp_path: Path) -> None:
    with receiving(tmp_path, idle_timeout_s=0.5) as scp:
        association = associate(scp)
        assert store(association, still(1)) == 0
        scp.here.clock.forward(10 * QUIET)
        assert look(scp) is Settled.LATER
        wait_for_no_association(scp)
        assert look(scp) is Settled.CLOSED


def test_an_object_over_the_limit_is_refused_and_the_next_has_its_chance(tmp_path: Path) -> None:
    with receiving(tmp_path, max_object_mib=1) as scp:
        association = associate(scp)
        assert store(association, still(1, size=MIB * 3 // 2)) == 0xA700
        assert store(association, still(2)) == 0
        association.release()
        assert scp.refused == [(0xA700, "too_large")]
        assert list(scp.objects()) == ["1.2.3.2"]


def flood(association: Association, begin: bytes, piece: bytes, limit: int) -> tuple[int, int]:
    """Send until the peer is gone; how many bytes it was, and how much memory this process took for them at most."""
    raw = association.dul.socket.socket
    before, most, n_sent = resident(), 0, 0
    with suppress(OSError):  # it was aborted
        raw.sendall(begin)
        while n_sent < limit:
            raw.sendall(piece)
            n_sent += len(piece)
            most = max(most, resident() - before)
    raw.close()  # the library leaves it open where the peer was faster
    return n_sent, most


def test_a_stream_without_an_end_takes_no_memory(tmp_path: Path) -> None:
    with receiving(tmp_path, max_object_mib=8) as scp:
        assert send(scp, still(1)) == 0  # what is loaded once is loaded
        association = associate(scp)
        n_sent, most = flood(association, first_half(association, still(3)), p_data(bytes(65_537)), 300 * MIB)
        assert n_sent < 300 * MIB, "not aborted"
        assert most < 48 * MIB, f"{most // MIB} MiB for a limit of 8"
        scp.wait_for_end(2)
        assert scp.refused == [(0xA700, "too_large")]
        assert send(scp, still(4)) == 0
        assert list(scp.objects()) == ["1.2.3.1", "1.2.3.4"]
        assert scp.spool() == []


def test_a_command_without_an_end_is_aborted(scp: Scp) -> None:
    n_sent, _ = flood(associate(scp), b"", p_data(b"\1" + bytes(16_384)), 100 * MIB)
    assert n_sent < 100 * MIB
    assert send(scp, still(4)) == 0


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
