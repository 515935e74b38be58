"""The simulated PACS, called by DCMTK and by pynetdicom: keeps bytes, takes no name from a peer, has bad manners."""

import shutil
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from pydicom.uid import ExplicitVRLittleEndian, UltrasoundImageStorage

from dicom_ai.deliver.address import Address
from dicom_ai.deliver.send import Item, Sender, deliver_batch
from dicom_ai.settings import Deliver
from dicom_ai.simulate.pacs import SimulatedPacs, parse_manners
from tests.stored import dataset_bytes, stored

pytestmark = pytest.mark.protocol

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
QUICK = Deliver(connect_timeout_s=10.0, response_timeout_s=10.0)


def send(port, *objects):
    with Sender(QUICK).associate(Address("PACS", "127.0.0.1", port), [objects[0].pair]) as association:
        items = [Item(i, one.path, one.sop_class, one.syntax) for i, one in enumerate(objects)]
        return [outcome.state for outcome in deliver_batch(association, items)]


def files(folder):
    return sorted(folder.rglob("*.dcm"))


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def test_a_row_tells_every_object(out, tmp_path):
    rows: list[dict] = []
    one = stored(tmp_path, 1)
    with SimulatedPacs(out, clock=lambda: NOON, tell=rows.append) as pacs:
        assert send(pacs.start(), one) == ["sent"]
    digest = rows[0].pop("digest")
    assert len(digest) == 64
    assert rows == [
        {
            "sop_uid": one.uid, "sop_class": str(UltrasoundImageStorage), "study": "2.25.4242.1", "status": "0x0000",
            "kept": True, "bytes": len(one.dataset), "at": "2026-01-01T12:00:00+00:00",
        }
    ]  # fmt: skip
    (kept,) = files(out)
    assert kept.name == f"{one.uid}.dcm"
    assert "2.25.4242.1" not in kept.parent.name


def test_the_same_uid_with_other_bytes_is_kept_beside_the_first(out, tmp_path):
    first, other = stored(tmp_path, 1), stored(tmp_path, 2)
    other.path.write_bytes(other.path.read_bytes().replace(b"2.25.4242.1.1.2", b"2.25.4242.1.1.1"))
    with SimulatedPacs(out, clock=lambda: NOON) as pacs:
        port = pacs.start()
        assert send(port, first, first) == ["sent", "sent"]
        assert len(files(out)) == 1
        assert send(port, other) == ["sent"]
    kept = {dataset_bytes(path.read_bytes()) for path in files(out)}
    assert kept == {first.dataset, dataset_bytes(other.path.read_bytes())}


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom says what is wrong with the bytes
def test_a_path_in_place_of_a_uid_leads_nowhere(out, tmp_path):
    one = stored(tmp_path, 1)
    evil = b"../../../evil\0\0"
    one.path.write_bytes(one.path.read_bytes().replace(b"2.25.4242.1.1.1", evil))
    with SimulatedPacs(out, clock=lambda: NOON) as pacs:
        assert send(pacs.start(), one) == ["sent"]
    assert len(files(out)) == 1
    everything = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert everything == {one.path, *files(out)}


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom says what is wrong with the bytes
def test_a_data_set_that_cannot_be_read_is_kept_all_the_same(out, tmp_path):
    one = stored(tmp_path, 1)
    content = one.path.read_bytes()
    junk = bytes(range(255, 0, -1))
    one.path.write_bytes(content[: len(content) - len(one.dataset)] + junk)
    rows: list[dict] = []
    with SimulatedPacs(out, clock=lambda: NOON, tell=rows.append) as pacs:
        assert send(pacs.start(), one) == ["sent"]
    assert rows[0]["study"] == ""
    assert [dataset_bytes(path.read_bytes()) for path in files(out)] == [junk]


def test_several_associations_at_once(out, tmp_path):
    objects = [stored(tmp_path, i, study=i % 3) for i in range(24)]
    with SimulatedPacs(out, clock=lambda: NOON) as pacs, ThreadPoolExecutor(4) as pool:
        port = pacs.start()
        states = list(pool.map(lambda start: send(port, *objects[start::4], *objects[start::4]), range(4)))
    assert {state for some in states for state in some} == {"sent"}
    assert {dataset_bytes(path.read_bytes()) for path in files(out)} == {one.dataset for one in objects}


def test_a_failure_status_keeps_nothing_and_a_warning_keeps_the_object(out, tmp_path):
    one = stored(tmp_path, 1)
    for status, kept in [("C000", 0), ("A700", 0), ("B007", 1)]:
        with SimulatedPacs(out, clock=lambda: NOON, manners=parse_manners([f"status:{status}"])) as pacs:
            send(pacs.start(), one)
        assert len(files(out)) == kept, status


def test_slow_takes_its_time(out, tmp_path):
    with SimulatedPacs(out, clock=lambda: NOON, manners=parse_manners(["slow:300"])) as pacs:
        port = pacs.start()
        begin = time.monotonic()
        send(port, stored(tmp_path, 1))
    assert time.monotonic() - begin >= 0.3


def test_vanish_stops_listening_for_good(out):
    with SimulatedPacs(out, clock=lambda: NOON, manners=parse_manners(["vanish:0.2"])) as pacs:
        port = pacs.start()
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        time.sleep(0.5)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=1)


def test_dcmtk_finds_it_as_any_pacs(out, tmp_path):
    dcmsend, echoscu = shutil.which("dcmsend"), shutil.which("echoscu")
    if dcmsend is None or echoscu is None:
        pytest.skip("DCMTK is not installed (Debian package dcmtk)")
    objects = [stored(tmp_path, i, syntax=ExplicitVRLittleEndian) for i in range(3)]
    with SimulatedPacs(out, clock=lambda: NOON) as pacs:
        port = str(pacs.start())
        subprocess.run([echoscu, "127.0.0.1", port], check=True, timeout=20)
        subprocess.run([dcmsend, "-dn", "127.0.0.1", port, *(str(one.path) for one in objects)], check=True, timeout=20)
    assert {path.stem for path in files(out)} == {one.uid for one in objects}
