"""The sender against peers that behave badly, on real sockets."""

import hashlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    UltrasoundImageStorage,
    UltrasoundMultiFrameImageStorage,
)
from pynetdicom import AE, evt
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.sop_class import Verification

from dicom_ai.deliver.address import Address
from dicom_ai.deliver.echo import echo
from dicom_ai.deliver.negotiate import report_contexts, report_forms
from dicom_ai.deliver.send import Item, Outcome, Sender, deliver_batch
from dicom_ai.errors import PeerFailed, PeerRefused, PeerUnreachable
from dicom_ai.settings import Deliver
from dicom_ai.simulate.pacs import SimulatedPacs, listen, parse_manners
from tests.peers import free_port
from tests.stored import dataset_bytes, stored

pytestmark = pytest.mark.protocol

QUICK = Deliver(connect_timeout_s=10.0, response_timeout_s=10.0)  # never the reason why a test ends
IMPATIENT = Deliver(connect_timeout_s=1.0, response_timeout_s=1.0)  # where it is
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
EXPLICIT = str(ExplicitVRLittleEndian)
IMAGE = (str(UltrasoundImageStorage), EXPLICIT)


def item(one, number=0):
    return Item(number, one.path, one.sop_class, one.syntax)


def deliver(address, objects, settings=QUICK) -> list[Outcome]:
    with Sender(settings).associate(address, list(dict.fromkeys(one.pair for one in objects))) as association:
        return list(deliver_batch(association, [item(one, i) for i, one in enumerate(objects)]))


@contextmanager
def pacs(folder, *manners: str) -> Iterator[tuple[Address, list[dict]]]:
    rows: list[dict] = []
    out = folder / "pacs"
    with SimulatedPacs(out, clock=lambda: NOON, manners=parse_manners(manners), tell=rows.append) as peer:
        yield Address("PACS", "127.0.0.1", peer.start()), rows


@contextmanager
def odd_peer(*handlers, classes=(UltrasoundImageStorage,), **attributes) -> Iterator[Address]:
    """A storage SCP that answers success, with handlers that make it odd."""
    entity = AE("ODD")
    for sop_class in classes:
        entity.add_supported_context(sop_class, [EXPLICIT, str(ImplicitVRLittleEndian)])
    for name, value in attributes.items():
        setattr(entity, name, value)
    bound = [(evt.EVT_C_STORE, lambda event: 0x0000), *handlers]
    server = listen(entity, ("127.0.0.1", 0), bound)
    try:
        yield Address("ODD", "127.0.0.1", server.server_address[1])
    finally:
        server.shutdown()


def at_data_pdu(number: int, act: Callable[[evt.Event], None]):
    """A handler that acts at the n-th data PDU of an association, on the peer's side."""
    seen: dict[int, int] = {}

    def on_pdu(event):
        if isinstance(event.pdu, P_DATA_TF):
            seen[id(event.assoc)] = seen.get(id(event.assoc), 0) + 1
            if seen[id(event.assoc)] == number:
                act(event)

    return evt.EVT_PDU_RECV, on_pdu


def pull_the_plug(event) -> None:
    event.assoc.dul.socket.socket.shutdown(socket.SHUT_RDWR)


@pytest.fixture(autouse=True)
def _no_thread_stays():
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 5
    while (left := set(threading.enumerate()) - before) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not left, f"threads left behind: {left}"


# ---------------------------------------------------------------- the bytes


def test_the_bytes_on_the_wire_are_the_stored_bytes(tmp_path):
    objects = [stored(tmp_path, 1, odd=True), stored(tmp_path, 2, side=1024, odd=True)]
    with pacs(tmp_path) as (address, rows):
        outcomes = deliver(address, objects)
    assert outcomes == [Outcome(0, 0, "sent"), Outcome(1, 0, "sent")]
    expected = [hashlib.sha256(one.dataset + one.syntax.encode()).hexdigest() for one in objects]
    assert [row["digest"] for row in rows] == expected
    assert [row["bytes"] for row in rows] == [len(one.dataset) for one in objects]
    kept = {dataset_bytes(path.read_bytes()) for path in (tmp_path / "pacs").rglob("*.dcm")}
    assert kept == {one.dataset for one in objects}


@pytest.mark.parametrize("largest", [0, 512, 16384, 1048576])
def test_every_pdu_size_of_the_peer_is_respected(tmp_path, largest):
    sizes, content = [], []
    one = stored(tmp_path, 1, side=512, odd=True)
    handlers = [
        (evt.EVT_DATA_RECV, lambda event: sizes.append(len(event.data))),
        (evt.EVT_C_STORE, lambda event: content.append(event.encoded_dataset(include_meta=False)) or 0x0000),
    ]
    with odd_peer(*handlers, maximum_pdu_size=largest) as address:
        assert deliver(address, [one]) == [Outcome(0, 0, "sent")]
    assert content == [one.dataset]
    # the PDU header of 6 bytes does not count (PS3.8 D.1)
    assert max(sizes[1:]) <= min(largest or 131072, 131072) + 6


def test_nagle_is_off(tmp_path):
    with pacs(tmp_path) as (address, _), Sender(QUICK).associate(address, [IMAGE]) as association:
        connection = association._negotiated.dul.socket.socket
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_one_association_carries_many_objects(tmp_path):
    objects = [stored(tmp_path, i) for i in range(40)]
    opened = []
    with odd_peer((evt.EVT_ESTABLISHED, opened.append)) as address:
        outcomes = deliver(address, objects)
    assert [outcome.state for outcome in outcomes] == ["sent"] * 40
    assert len(opened) == 1


# ---------------------------------------------------------------- statuses and classes


@pytest.mark.parametrize(
    ("status", "state", "reason"),
    [
        (0x0000, "sent", None),
        (0xB000, "sent", None),
        (0x0111, "sent", None),
        (0xA700, "queued", None),
        (0xA900, "dead", "peer_failed"),
        (0xC000, "dead", "peer_failed"),
        (0x0122, "dead", "class_refused"),
        (0x0124, "dead", "peer_failed"),
    ],
)
def test_an_answer_decides_about_its_object_and_never_stops_the_batch(tmp_path, status, state, reason):
    objects = [stored(tmp_path, i) for i in range(3)]
    with pacs(tmp_path, f"status:{status:04X}") as (address, rows):
        outcomes = deliver(address, objects)
    assert outcomes == [Outcome(i, status, state, reason) for i in range(3)]
    assert len(rows) == 3


def test_a_refused_class_is_dead_and_the_others_go_out(tmp_path):
    clip = stored(tmp_path, 2, sop_class=UltrasoundMultiFrameImageStorage)
    objects = [stored(tmp_path, 1), clip, stored(tmp_path, 3)]
    with pacs(tmp_path, f"refuse:{UltrasoundMultiFrameImageStorage}") as (address, rows):
        outcomes = deliver(address, objects)
    assert outcomes == [Outcome(0, 0, "sent"), Outcome(1, None, "dead", "class_refused"), Outcome(2, 0, "sent")]
    assert len(rows) == 2


def test_a_peer_that_takes_no_class_at_all_refused(tmp_path):
    with (
        pacs(tmp_path, f"refuse:{UltrasoundImageStorage}") as (address, _),
        pytest.raises(PeerRefused, match="accepts none"),
    ):
        deliver(address, [stored(tmp_path, 1)])


# 3D SR, Comprehensive SR, Enhanced SR, Basic Text SR; Secondary Capture; Encapsulated PDF (PS3.4 B.5)
FORMS = [f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("88.34", "88.33", "88.22", "88.11", "7", "104.1")]


@pytest.mark.parametrize("n_refused", range(len(FORMS) + 1))
def test_the_forms_of_a_report_follow_what_the_peer_accepts(tmp_path, n_refused):
    """Without any SR of measurements the text is next; where every form is refused, nothing is left."""
    with (
        pacs(tmp_path, *(f"refuse:{sop_class}" for sop_class in FORMS[:n_refused])) as (address, _),
        Sender(QUICK).associate(address, [*report_contexts(), IMAGE]) as association,
    ):
        assert report_forms(association.accepted) == tuple(FORMS[n_refused:])


def test_a_peer_that_lies_about_the_object_is_taken_at_its_word(tmp_path):
    with pacs(tmp_path, "lose") as (address, rows):
        assert deliver(address, [stored(tmp_path, 1)]) == [Outcome(0, 0, "sent")]
    assert rows[0]["status"] == "0x0000"
    assert not list((tmp_path / "pacs").rglob("*.dcm"))


# ---------------------------------------------------------------- no association


def test_nobody_listens(tmp_path):
    begin = time.monotonic()
    with pytest.raises(PeerUnreachable, match="no TCP connection"):
        deliver(Address("PACS", "127.0.0.1", free_port()), [stored(tmp_path, 1)])
    assert time.monotonic() - begin < 5


def test_a_name_that_does_not_resolve(tmp_path):
    with pytest.raises(PeerUnreachable, match=r"no-such-host\.invalid"):
        deliver(Address("PACS", "no-such-host.invalid", 104), [stored(tmp_path, 1)])


def test_a_peer_that_accepts_and_hangs(tmp_path):
    begin = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(PeerUnreachable, match="did not answer"):
        deliver(Address("PACS", "127.0.0.1", silent.getsockname()[1]), [stored(tmp_path, 1)], IMPATIENT)
    assert time.monotonic() - begin < 5


def test_a_peer_that_speaks_something_else(tmp_path):
    def answer():
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(PeerUnreachable):
            deliver(Address("PACS", "127.0.0.1", listener.getsockname()[1]), [stored(tmp_path, 1)])
        thread.join()


def test_a_rejected_association_is_worth_another_attempt(tmp_path):
    """Even "permanent": the PACS team may be adding us at this moment."""
    with (
        odd_peer(require_called_aet=True) as address,
        pytest.raises(PeerUnreachable, match=r"rejected the association: Called AE title not recognised"),
    ):
        deliver(Address("OTHER", address.host, address.port), [stored(tmp_path, 1)])


def test_an_unusable_ae_title_is_named(tmp_path):
    with pytest.raises(PeerUnreachable, match="AE title"):
        deliver(Address("A\\B", "127.0.0.1", 104), [stored(tmp_path, 1)])


def test_more_contexts_than_an_association_holds_are_a_mistake_of_the_caller():
    with (
        pytest.raises(ValueError, match="1 to 128"),
        Sender(QUICK).associate(Address("PACS", "127.0.0.1", 104), [(f"1.2.{i}", EXPLICIT) for i in range(129)]),
    ):
        pass


def test_an_ipv6_address_is_called(tmp_path):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 loopback address")
    one = stored(tmp_path, 1)
    with SimulatedPacs(tmp_path / "pacs", clock=lambda: NOON) as peer:
        assert deliver(Address("PACS", "::1", peer.start(host="::1")), [one]) == [Outcome(0, 0, "sent")]


# ---------------------------------------------------------------- an association that ends early


@pytest.mark.parametrize("abort", [pull_the_plug, lambda event: event.assoc.abort()], ids=["plug pulled", "A-ABORT"])
def test_a_peer_that_drops_in_mid_object_leaves_the_rest_queued(tmp_path, abort):
    objects = [stored(tmp_path, i, side=512) for i in range(3)]  # 1 command and 17 data PDUs each
    with odd_peer(at_data_pdu(24, abort)) as address:
        outcomes = deliver(address, objects)
        assert outcomes == [Outcome(0, 0, "sent"), Outcome(1, None, "queued"), Outcome(2, None, "queued")]
        again = deliver(address, objects[1:2])  # one object: stays below the 24th PDU
    assert again == [Outcome(0, 0, "sent")]


def test_a_pacs_that_vanishes_between_objects(tmp_path):
    objects = [stored(tmp_path, i) for i in range(2)]
    with pacs(tmp_path, "vanish:0.4") as (address, _), Sender(QUICK).associate(address, [IMAGE]) as association:
        outcomes = []
        for outcome in deliver_batch(association, [item(one, i) for i, one in enumerate(objects)]):
            outcomes.append(outcome)
            deadline = time.monotonic() + 5
            while association._is_alive() and time.monotonic() < deadline:
                time.sleep(0.02)
    assert outcomes == [Outcome(0, 0, "sent"), Outcome(1, None, "queued")]
    with pytest.raises(PeerUnreachable):
        deliver(address, objects[1:])


def test_a_response_that_comes_too_late_is_not_taken_for_the_next_objects(tmp_path):
    objects = [stored(tmp_path, i) for i in range(2)]
    with pacs(tmp_path, "slow:1500") as (address, rows):
        outcomes = deliver(address, objects, Deliver(connect_timeout_s=10, response_timeout_s=0.5))
        answered = len(rows)
        deadline = time.monotonic() + 5
        while not rows and time.monotonic() < deadline:
            time.sleep(0.02)
    assert outcomes == [Outcome(0, None, "queued"), Outcome(1, None, "queued")]
    assert answered == 0
    assert len(rows) == 1  # the peer kept it all the same; the retry sends the same bytes under the same UID


def test_a_response_to_something_else_ends_the_association(tmp_path):
    def answer_another(event):
        event.message.command_set.MessageIDBeingRespondedTo = 999

    with odd_peer((evt.EVT_DIMSE_SENT, answer_another)) as address:
        outcomes = deliver(address, [stored(tmp_path, 1), stored(tmp_path, 2)])
    assert outcomes == [Outcome(0, None, "queued"), Outcome(1, None, "queued")]


def test_a_peer_that_stops_reading_is_left_in_time_and_little_lies_in_memory(tmp_path):
    released = threading.Event()
    one = stored(tmp_path, 1, side=4096)  # 16 MiB: more than the sockets' buffers hold
    with odd_peer(at_data_pdu(2, lambda event: released.wait(8))) as address:
        begin = time.monotonic()
        with Sender(QUICK.model_copy(update={"response_timeout_s": 1.0})).associate(address, [IMAGE]) as association:
            outcomes = list(deliver_batch(association, [item(one)]))
            waiting = association._negotiated.dul.to_provider_queue.qsize()
        elapsed = time.monotonic() - begin
        released.set()
    assert outcomes == [Outcome(0, None, "queued")]
    assert waiting <= 17
    assert elapsed < 6


def test_a_slow_line_is_not_a_missing_response(tmp_path):
    """The time limit is for the response; the transfer may take longer as long as it moves."""
    one = stored(tmp_path, 1, side=2048)  # 4 MiB in 16 KiB PDUs

    def take_little(event):
        event.assoc.dul.socket.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)

    handlers = [(evt.EVT_CONN_OPEN, take_little), (evt.EVT_PDU_RECV, lambda event: time.sleep(0.012))]
    with odd_peer(*handlers) as address:
        begin = time.monotonic()
        outcomes = deliver(address, [one], Deliver(connect_timeout_s=10, response_timeout_s=2.0))
        elapsed = time.monotonic() - begin
    assert outcomes == [Outcome(0, 0, "sent")]
    assert elapsed > 2.5, "the line was not slow enough to show anything"


# ---------------------------------------------------------------- our own store


def test_a_stored_file_that_cannot_be_used_harms_only_itself(tmp_path):
    objects = [stored(tmp_path, i) for i in range(4)]
    objects[1].path.write_bytes(b"not DICOM")
    objects[2].path.unlink()
    with pacs(tmp_path) as (address, _):
        outcomes = deliver(address, objects)
    assert outcomes == [
        Outcome(0, 0, "sent"),
        Outcome(1, None, "dead", "unreadable"),
        Outcome(2, None, "queued", "store_failed"),
        Outcome(3, 0, "sent"),
    ]


def test_a_block_that_raises_aborts_the_association(tmp_path):
    ended: list[str] = []
    handlers = [
        (evt.EVT_ABORTED, lambda event: ended.append("aborted")),
        (evt.EVT_RELEASED, lambda event: ended.append("released")),
    ]
    with odd_peer(*handlers) as address:
        with pytest.raises(ZeroDivisionError), Sender(QUICK).associate(address, [IMAGE]):
            raise ZeroDivisionError
        with Sender(QUICK).associate(address, [IMAGE]):
            pass
        deadline = time.monotonic() + 3
        while len(ended) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
    assert ended == ["aborted", "released"]


# ---------------------------------------------------------------- echo


def test_echo_gives_seconds(tmp_path):
    with pacs(tmp_path) as (address, _):
        assert 0 < echo(address, QUICK) < 1


def test_echo_says_what_is_wrong(tmp_path):
    with pytest.raises(PeerUnreachable, match="no TCP connection"):
        echo(Address("PACS", "127.0.0.1", free_port()), QUICK)
    with odd_peer() as address, pytest.raises(PeerRefused):
        echo(address, QUICK)
    failing = (evt.EVT_C_ECHO, lambda event: 0x0210)
    with odd_peer(failing, classes=(Verification,)) as address, pytest.raises(PeerFailed, match="0x0210"):
        echo(address, QUICK)
