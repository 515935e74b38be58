"""What a sender may rely on: the same tests over our simulated PACS and over a real Orthanc."""

import hashlib
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import (
    MPEG2MPML,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
    UltrasoundImageStorage,
    UltrasoundMultiFrameImageStorage,
)

from dicom_ai.deliver.address import Address, parse_address
from dicom_ai.deliver.echo import echo
from dicom_ai.deliver.negotiate import report_contexts, report_forms, split_into_associations
from dicom_ai.deliver.paths import send_paths
from dicom_ai.deliver.send import Item, Outcome, Sender, deliver_batch
from dicom_ai.errors import PeerUnreachable, SettingsError
from dicom_ai.instance import US_IMAGE_RETIRED, US_MULTI_FRAME_RETIRED
from dicom_ai.settings import Deliver
from dicom_ai.simulate.pacs import SimulatedPacs
from tests.peers import Orthanc, free_port, orthanc
from tests.stored import dataset_bytes, read, stored

pytestmark = pytest.mark.protocol

SETTINGS = Deliver(connect_timeout_s=3.0, response_timeout_s=5.0)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "us"
SYNTAXES = (
    ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, RLELossless,
    JPEGBaseline8Bit, JPEGLSLossless, JPEG2000Lossless, MPEG2MPML,
)  # fmt: skip


class Simulated:
    """The simulated PACS with the helper methods of the Orthanc fixture."""

    host, ae_title = "127.0.0.1", "PACS"

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()

    def start(self) -> None:
        self._pacs = SimulatedPacs(self.folder, clock=lambda: NOON)
        self._pacs.start(self.port)

    def stop(self) -> None:
        self._pacs.stop()

    def received(self) -> list[bytes]:
        return [path.read_bytes() for path in sorted(self.folder.rglob("*.dcm"))]


Peer = Simulated | Orthanc


@pytest.fixture(scope="module", params=["simulated", "orthanc"])
def peer(request, tmp_path_factory) -> Iterator[Peer]:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "orthanc":
        with orthanc(folder, callers=("DICOM_AI", "OTHER")) as server:
            yield server
    else:
        simulated = Simulated(folder)
        simulated.start()
        yield simulated
        simulated.stop()


def deliver(peer: Peer, objects) -> list[Outcome]:
    items = [Item(i, one.path, one.sop_class, one.syntax) for i, one in enumerate(objects)]
    with Sender(SETTINGS).associate(peer, list(dict.fromkeys(one.pair for one in objects))) as association:
        return list(deliver_batch(association, items))


def held(peer: Peer) -> dict[str, bytes]:
    return {str(read(content).SOPInstanceUID): content for content in peer.received()}


def test_every_syntax_arrives_as_it_was_stored(peer, tmp_path):
    objects = [stored(tmp_path, i, syntax=syntax, study=10) for i, syntax in enumerate(SYNTAXES)]
    assert {outcome.state for outcome in deliver(peer, objects)} == {"sent"}
    arrived = held(peer)
    for one in objects:
        assert read(arrived[one.uid]) == dcmread(one.path)
        assert read(arrived[one.uid]).file_meta.TransferSyntaxUID == one.syntax
        if isinstance(peer, Simulated):
            assert dataset_bytes(arrived[one.uid]) == one.dataset


@pytest.mark.parametrize(
    "sop_class",
    [
        UltrasoundImageStorage,
        UltrasoundMultiFrameImageStorage,
        US_IMAGE_RETIRED,
        US_MULTI_FRAME_RETIRED,
        SecondaryCaptureImageStorage,
    ],
)
def test_every_class_we_forward_is_taken(peer, tmp_path, sop_class):
    one = stored(tmp_path, int(sop_class.rpartition(".")[2]), sop_class=sop_class, study=len(sop_class))
    assert deliver(peer, [one]) == [Outcome(0, 0, "sent")]
    assert held(peer)[one.uid]


def test_a_retry_of_what_arrived_is_delivered_and_not_doubled(peer, tmp_path):
    one = stored(tmp_path, 1, study=20, odd=True)
    assert [outcome.state for outcome in deliver(peer, [one, one])] == ["sent", "sent"]
    assert [outcome.state for outcome in deliver(peer, [one])] == ["sent"]
    assert sum(str(read(content).SOPInstanceUID) == one.uid for content in peer.received()) == 1


def test_an_outage_loses_nothing(peer, tmp_path):
    objects = [stored(tmp_path, i, study=30) for i in range(4)]
    assert [outcome.state for outcome in deliver(peer, objects[:2])] == ["sent", "sent"]
    peer.stop()
    try:
        with pytest.raises(PeerUnreachable, match="no TCP connection"):
            deliver(peer, objects[2:])
    finally:
        peer.start()
    assert [outcome.state for outcome in deliver(peer, objects[2:])] == ["sent", "sent"]
    assert {one.uid for one in objects} <= set(held(peer))


def test_the_best_report_class_is_negotiated(peer):
    with Sender(SETTINGS).associate(peer, report_contexts()) as association:
        assert report_forms(association.accepted)[0] == "1.2.840.10008.5.1.4.1.1.88.34"


def test_echo(peer):
    assert 0 < echo(peer, SETTINGS) < 3


def test_an_unknown_caller_is_told_apart_from_a_dead_pacs(tmp_path):
    with (
        orthanc(tmp_path, callers=("SOMEONE",)) as server,
        pytest.raises(PeerUnreachable, match=r"rejected|not answer"),
    ):
        deliver(server, [stored(tmp_path, 1)])


# ---------------------------------------------------------------- dicom-ai send


def test_files_and_folders_are_sent_one_association_per_study(peer, tmp_path):
    inner = tmp_path / "export" / "inner"
    inner.mkdir(parents=True)
    files = [stored(inner, i, study=40 + i % 2) for i in range(4)]
    (inner / "notes.txt").write_text("not DICOM")
    alone = stored(tmp_path, 9, study=42)
    address = parse_address(f"{peer.ae_title}@{peer.host}:{peer.port}")
    rows = list(send_paths([tmp_path / "export", alone.path], address, SETTINGS, from_ae="OTHER"))
    by_name = {Path(row["file"]).name: row for row in rows}
    assert len(rows) == 6
    assert by_name["notes.txt"] | {"detail": ""} == {
        "file": str(inner / "notes.txt"), "status": "failed", "reason": "unreadable", "sop_uid": None, "dimse": None,
        "detail": "",
    }  # fmt: skip
    for one in [*files, alone]:
        row = by_name[one.path.name]
        assert (row["status"], row["reason"], row["sop_uid"], row["dimse"]) == ("sent", None, one.uid, "0x0000")
    assert {one.uid for one in [*files, alone]} <= set(held(peer))


@pytest.mark.filterwarnings("ignore:Incorrect value for Specific Character Set")
def test_real_objects_arrive_as_they_are(peer):
    files = sorted(SHARED.glob("*.dcm"))
    if not files:
        pytest.skip(f"no real ultrasound objects under {SHARED}")
    rows = list(send_paths(files, peer, SETTINGS))
    assert {row["status"] for row in rows} == {"sent"}
    arrived = [digest_of(content) for content in peer.received()]
    if isinstance(peer, Simulated):  # Orthanc encodes again, and keeps the first of several objects with one UID
        assert {digest_of(path.read_bytes()) for path in files} <= set(arrived)
    assert {row["sop_uid"] for row in rows} <= {uid.strip() for uid in held(peer)}


def digest_of(content: bytes) -> str:
    return hashlib.sha256(dataset_bytes(content)).hexdigest()


def test_a_node_that_is_down_is_not_called_for_every_study(tmp_path):
    files = [stored(tmp_path, i, study=50 + i) for i in range(3)]
    impatient = Deliver(connect_timeout_s=0.3, response_timeout_s=0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = Address("PACS", "127.0.0.1", silent.getsockname()[1])
        rows = list(send_paths([one.path for one in files], address, impatient))
        silent.setblocking(False)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()
    assert [(row["status"], row["reason"]) for row in rows] == [("failed", "attempts_spent")] * 3
    assert all("did not answer" in row["detail"] for row in rows)


def test_a_path_that_does_not_exist_or_none_at_all_is_named(tmp_path):
    address = Address("PACS", "127.0.0.1", 104)
    with pytest.raises(SettingsError, match="no such file or folder"):
        list(send_paths([tmp_path / "missing"], address, SETTINGS))
    with pytest.raises(SettingsError, match="name at least one"):
        list(send_paths([], address, SETTINGS))


def test_an_index_of_files_is_no_object(tmp_path):
    one = stored(tmp_path, 1, sop_class="1.2.840.10008.1.3.10")
    (row,) = send_paths([one.path], Address("PACS", "127.0.0.1", 104), SETTINGS)
    assert (row["status"], row["reason"]) == ("skipped", None)


def test_129_kinds_of_objects_need_two_associations(tmp_path):
    kinds = [(f"1.2.840.10008.5.1.4.1.1.{i}", str(ExplicitVRLittleEndian)) for i in range(1000, 1129)]
    first, second = split_into_associations(kinds)
    assert (len(first), len(second)) == (128, 1)
    with SimulatedPacs(tmp_path / "pacs", clock=lambda: NOON) as pacs:
        address = Address("PACS", "127.0.0.1", pacs.start())
        known = (str(UltrasoundImageStorage), str(ExplicitVRLittleEndian))
        with Sender(SETTINGS).associate(address, [*first[:127], known]) as association:
            assert set(association.accepted) == {known[0]}
