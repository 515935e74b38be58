import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit
from pynetdicom import AE, evt
from pynetdicom.sop_class import UltrasoundImageStorage, UltrasoundMultiFrameImageStorage

from dicom_ai.errors import PeerRefused, PeerUnreachable, SettingsError
from dicom_ai.instance import US_MULTI_FRAME
from dicom_ai.simulate.exam import Exam, Shot, exam
from dicom_ai.simulate.habits import Habits
from dicom_ai.simulate.patients import patient_of
from dicom_ai.simulate.scanner import make_exams, send_exams

pytestmark = pytest.mark.protocol


@dataclass
class Listener:
    ae_title: str = "LISTENER"
    host: str = "127.0.0.1"
    port: int = 0
    stored: dict[str, str] = field(default_factory=dict)
    associations: int = 0
    aborted: int = 0
    contexts: list[tuple[str, list[str]]] = field(default_factory=list)
    status: int = 0x0000
    drop: bool = False

    def on_store(self, event: evt.Event) -> int:
        if self.drop:
            event.assoc.abort()
            return 0x0110
        data = event.request.DataSet.getvalue()
        self.stored[str(event.request.AffectedSOPInstanceUID)] = hashlib.sha256(data).hexdigest()
        return self.status

    def on_established(self, event: evt.Event) -> None:
        self.associations += 1
        for context in event.assoc.requestor.requested_contexts:
            self.contexts.append((str(context.abstract_syntax), [str(s) for s in context.transfer_syntax]))

    def on_aborted(self, event: evt.Event) -> None:
        self.aborted += 1


def serve(listener: Listener, *, clips: bool = True) -> AE:
    ae = AE(listener.ae_title)
    ae.add_supported_context(UltrasoundImageStorage, [ExplicitVRLittleEndian])
    if clips:
        ae.add_supported_context(UltrasoundMultiFrameImageStorage, [ExplicitVRLittleEndian, JPEGBaseline8Bit])
    handlers = [
        (evt.EVT_C_STORE, listener.on_store),
        (evt.EVT_ESTABLISHED, listener.on_established),
        (evt.EVT_ABORTED, listener.on_aborted),
    ]
    server = ae.start_server((listener.host, 0), block=False, evt_handlers=handlers)
    listener.port = server.server_address[1]
    return ae


@pytest.fixture
def listener() -> Iterator[Listener]:
    it = Listener()
    ae = serve(it)
    yield it
    ae.shutdown()


def short_exams(count: int) -> list[Exam]:
    content = (Shot(frozenset({"a_lines"})), Shot(frozenset({"b_lines"}), frames=2), Shot(frozenset()))
    return [
        exam("lung", seed=seed, patient=patient_of(seed), layout="other-vendor", content=content)
        for seed in range(count)
    ]


def test_every_object_arrives_over_one_association_per_study(listener):
    exams = short_exams(2)
    rows = list(send_exams(exams, listener))
    assert [row["status"] for row in rows] == ["0x0000"] * 6
    assert [row["sop_uid"] for row in rows] == [ds.SOPInstanceUID for one in exams for ds in one]
    assert {row["sop_uid"] for row in rows} == set(listener.stored)
    assert listener.associations == 2
    assert {row["study"] for row in rows} == {one.study_instance_uid for one in exams}


def test_each_class_and_syntax_has_a_context_of_its_own(listener):
    list(send_exams(short_exams(1), listener))
    assert sorted(listener.contexts) == [
        (US_MULTI_FRAME, [JPEGBaseline8Bit]),
        (str(UltrasoundImageStorage), [ExplicitVRLittleEndian]),
    ]


def test_the_same_seed_sends_the_same_bytes(listener):
    list(send_exams(short_exams(1), listener))
    first = dict(listener.stored)
    listener.stored.clear()
    list(send_exams(short_exams(1), listener))
    assert listener.stored == first


def test_abort_at_breaks_off_in_the_middle_of_an_object(listener):
    rows = list(send_exams(short_exams(2), listener, habits=Habits(abort_at=2)))
    assert [row["status"] for row in rows] == ["0x0000", "aborted"]
    assert list(listener.stored) == [rows[0]["sop_uid"]]
    assert listener.associations == 1


def test_the_status_of_the_peer_is_reported(listener):
    listener.status = 0xA700
    rows = list(send_exams(short_exams(1), listener))
    assert [row["status"] for row in rows] == ["0xA700"] * 3


def test_a_refused_class_does_not_stop_the_others():
    it = Listener()
    ae = serve(it, clips=False)
    try:
        rows = list(send_exams(short_exams(1), it))
    finally:
        ae.shutdown()
    assert [row["status"] for row in rows] == ["0x0000", "refused", "0x0000"]


def test_an_association_without_any_context_is_refused():
    it = Listener()
    ae = serve(it, clips=False)
    clip = (Shot(frozenset(), frames=2),)
    only_clips = exam("lung", seed=1, patient=patient_of(1), layout="other-vendor", content=clip)
    try:
        with pytest.raises(PeerRefused):
            list(send_exams([only_clips], it))
    finally:
        ae.shutdown()


def test_nobody_listening():
    it = Listener()
    ae = serve(it)
    ae.shutdown()
    with pytest.raises(PeerUnreachable):
        list(send_exams(short_exams(1), it))


def test_rate_limits_objects_per_second(listener):
    exams = short_exams(1)
    begun = time.monotonic()
    list(send_exams(exams, listener, rate=5))
    assert 0.55 < time.monotonic() - begun < 5


def test_a_dropped_association_loses_the_rest_of_the_study(listener):
    listener.drop = True
    rows = list(send_exams(short_exams(2), listener))
    assert [row["status"] for row in rows] == ["lost"] * 6
    assert listener.associations == 2


def test_a_caller_who_stops_listening_leaves_no_association(listener):
    rows = send_exams(short_exams(1), listener)
    next(rows)
    rows.close()
    for _ in range(100):
        if listener.aborted:
            break
        time.sleep(0.02)
    assert listener.aborted == 1


@pytest.mark.parametrize(("device", "kind"), [("voluson", "lung"), ("logiq-e9", "heart")])
def test_unknown_device_or_exam(device, kind):
    with pytest.raises(SettingsError):
        make_exams(device, kind, 1, 1)


def test_each_study_is_another_patient():
    exams = list(make_exams("other-vendor", "uterus", 3, 7))
    assert len({one.objects[0].PatientID for one in exams}) == 3
    assert len({one.study_instance_uid for one in exams}) == 3
    assert {label for one in exams for truth in one.truth.values() for label in truth.labels} == {
        "endometrial_polyp", "submucous_fibroid", "normal",
    }  # fmt: skip
