"""What a scanner can do to the running receiver, over real sockets: it is told the truth, and no half object stays."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.dsutils import encode
from pynetdicom.pdu import P_DATA_TF

from dicom_ai.deliver.address import Address
from dicom_ai.errors import PeerRefused, PeerUnreachable, SettingsError
from dicom_ai.instance import US_IMAGE, US_MULTI_FRAME
from dicom_ai.report.header import part10
from dicom_ai.simulate.exam import Exam, Shot, exam
from dicom_ai.simulate.habits import Habits, parse_habits
from dicom_ai.simulate.patients import patient_of
from dicom_ai.simulate.scanner import send_exams
from dicom_ai.store import tables
from tests.protocol.test_receive import Scp, associate, scp_in, store

pytestmark = pytest.mark.protocol

CONTENT = (Shot(frozenset({"a_lines"})), Shot(frozenset({"b_lines"}), frames=2), Shot(frozenset()))
IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
QUICK = Habits(repeats=0, repeat_after_s=0.05)


@pytest.fixture(scope="module")
def exams() -> list[Exam]:
    return [exam("lung", seed=seed, patient=patient_of(seed), layout="epiq-7c", content=CONTENT) for seed in (1, 2)]


@pytest.fixture
def scp(tmp_path: Path) -> Iterator[Scp]:
    running = scp_in(tmp_path)
    yield running
    running.acceptor.drain(0.5)
    running.committer.stop()
    running.here.engine.dispose()


def to(scp: Scp) -> Address:
    return Address("DICOM_AI", "127.0.0.1", scp.port)


def sent(scp: Scp, exams: list[Exam], habits: Habits) -> list[tuple[str, str, int]]:
    """(SOP Instance UID, status, attempt) of every row."""
    return [(row["sop_uid"], row["status"], row["attempt"]) for row in send_exams(exams, to(scp), habits=habits)]


def uids(*some: Exam) -> list[str]:
    return [str(ds.SOPInstanceUID) for one in some for ds in one]


def assert_kept(scp: Scp, expected: list[str]) -> None:
    """Exactly these objects are kept, nothing half of one anywhere."""
    scp.acceptor.drain(5.0)  # until nobody is connected
    assert sorted(scp.objects()) == sorted(expected)
    assert scp.spool() == []
    assert len(list((scp.here.data / "store").rglob("*.*"))) == len(expected)


def test_a_whole_exam_over_one_association_and_one_by_one(scp, exams):
    assert [status for _, status, _ in sent(scp, exams[:1], QUICK)] == ["0x0000"] * 3
    scp.wait_for_end(1)
    assert len(scp.ended) == 1
    assert [status for _, status, _ in sent(scp, exams[1:], Habits(one_by_one=True, pause_s=0.01))] == ["0x0000"] * 3
    scp.wait_for_end(4)
    assert_kept(scp, uids(*exams))


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize("number", [1, 2, 5])
def test_an_abort_leaves_nothing_of_its_object(scp, exams, number, one_by_one):
    rows = sent(scp, exams, Habits(abort_at=number, one_by_one=one_by_one))
    assert [status for _, status, _ in rows] == ["0x0000"] * (number - 1) + ["aborted"]
    assert rows[-1][0] == uids(*exams)[number - 1]
    assert_kept(scp, uids(*exams)[: number - 1])


def test_what_broke_off_is_repeated_and_kept_once(scp, exams):
    rows = sent(scp, exams[:1], Habits(abort_at=2, repeats=1, repeat_after_s=0.05))
    assert [(status, attempt) for _, status, attempt in rows] == [
        ("0x0000", 1), ("aborted", 1), ("lost", 1), ("0x0000", 2), ("0x0000", 2),
    ]  # fmt: skip
    assert_kept(scp, uids(exams[0]))


def test_a_data_set_in_another_syntax_than_agreed_is_refused(scp, exams):
    rows = sent(scp, exams[:1], Habits(wrong_syntax=frozenset({1, 2}), repeats=1, repeat_after_s=0.01))
    assert [status for _, status, _ in rows] == ["0xC210", "0xC210", "0x0000", "0xC210", "0xC210"]
    assert {reason for _, reason in scp.refused} == {"unreadable"}
    assert_kept(scp, uids(exams[0])[2:])


@pytest.mark.parametrize(("syntax", "written"), list(permutations([IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE], 2)))
def test_every_mistaken_header_is_refused(scp, exams, syntax, written):
    """The bytes of one syntax under the name of another, all pairs of uncompressed ones."""
    (ds,) = exam("lung", seed=9, patient=patient_of(9), content=CONTENT[:1])
    content = encode(ds, written == IMPLICIT_LE, written != EXPLICIT_BE)
    association = associate(scp, (US_IMAGE, syntax))
    status = store(association, content or b"", uid=str(ds.SOPInstanceUID))
    association.release()
    assert status == 0xC210
    assert_kept(scp, [])


def test_a_syntax_the_service_does_not_take_falls_back_or_fails(scp, exams):
    stills = [Exam(exams[0].objects[1:2], exams[0].truth)]  # uncompressed: what is encapsulated is not deflated
    rows = sent(scp, stills, Habits(deflated="preferred"))
    assert [status for _, status, _ in rows] == ["0x0000"]
    assert {row.transfer_syntax for row in scp.here.rows(tables.objects)} == {str(ExplicitVRLittleEndian)}
    with pytest.raises(PeerRefused):
        sent(scp, stills, Habits(deflated="only"))
    assert [status for _, status, _ in sent(scp, exams[1:], Habits(deflated="only"))] == ["0x0000", "refused", "0x0000"]


def test_padded_uids_are_the_uids(scp, exams):
    assert {status for _, status, _ in sent(scp, exams[:1], Habits(padded_uids=True))} == {"0x0000"}
    assert_kept(scp, uids(exams[0]))
    for content in scp.objects().values():
        assert any(uid.encode() + pad in content for uid in uids(exams[0]) for pad in (b" ", b"\0\0"))
    assert {row.study_uid for row in scp.here.rows(tables.studies)} == {exams[0].study_instance_uid}


def test_nobody_there_is_told_after_the_last_repetition(exams):
    nobody = Address("DICOM_AI", "127.0.0.1", 9)
    rows = send_exams(exams[:1], nobody, habits=Habits(repeats=1, repeat_after_s=0.01))
    assert [next(rows)["status"] for _ in range(3)] == ["lost"] * 3
    with pytest.raises(PeerUnreachable):
        next(rows)


@dataclass
class Recorder:
    """A peer that writes down fragments: how much of the last object came, and whether it came to its end."""

    data: int = 0
    is_whole: bool = False

    def on_pdu(self, event: evt.Event) -> None:
        if isinstance(event.pdu, P_DATA_TF):
            for item in event.pdu.presentation_data_value_items:
                header, *rest = item.presentation_data_value
                if not header & 1:  # PS3.8 E.2: bit 0 command, bit 1 last fragment
                    self.data += len(rest)
                    self.is_whole |= bool(header & 2)


@pytest.mark.parametrize("max_pdu", [0, 4096, 16382, 1 << 20, 1 << 26])
@pytest.mark.parametrize("place", [0, 1])
def test_an_abort_is_in_the_middle_whatever_the_peer_takes(exams, max_pdu, place):
    recorder = Recorder()
    ae = AE("PEER")
    ae.maximum_pdu_size = max_pdu
    for sop_class in (US_IMAGE, US_MULTI_FRAME):
        ae.add_supported_context(sop_class, [str(ds.file_meta.TransferSyntaxUID) for ds in exams[0]])
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_PDU_RECV, recorder.on_pdu)])
    try:
        one = Exam(exams[0].objects[place : place + 1], exams[0].truth)
        peer = Address("PEER", "127.0.0.1", server.server_address[1])
        (row,) = send_exams([one], peer, habits=Habits(abort_at=1))
    finally:
        ae.shutdown()
    assert row["status"] == "aborted"
    assert 0 < recorder.data < len(part10(one.objects[0])) - 1000
    assert not recorder.is_whole


def test_habits_are_read():
    texts = [
        "one-by-one:250",
        "repeat:3:10",
        "wrong-syntax:2",
        "wrong-syntax:4",
        "deflated:only",
        "padded-uids",
        "commit:4104",
    ]
    assert parse_habits(texts, abort_at=7) == Habits(
        one_by_one=True, pause_s=0.25, abort_at=7, wrong_syntax=frozenset({2, 4}), deflated="only", padded_uids=True,
        repeats=3, repeat_after_s=0.01, commit=4104,
    )  # fmt: skip
    assert parse_habits([]) == Habits()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rude",
        "one-by-one:x",
        "repeat",
        "repeat:-1",
        "repeat:1:2:3",
        "wrong-syntax",
        "deflated:yes",
        "padded-uids:1",
        "commit",
        "commit:0",
        "commit:65536",
        "repeat:٣",
    ],
)
def test_a_word_that_is_no_habit_is_named(text):
    with pytest.raises(SettingsError, match="no manner of a scanner"):
        parse_habits([text])
