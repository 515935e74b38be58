"""Modality Performed Procedure Step on real sockets: a completed step that lists everything shortens the wait."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import ModalityPerformedProcedureStep

from dicom_ai.commitments import stepping
from dicom_ai.errors import LedgerUnavailable
from dicom_ai.instance import US_IMAGE
from dicom_ai.ledger import Ledger
from dicom_ai.ports import StepMessage, Steps
from dicom_ai.receive.acceptor import PynetdicomAcceptor
from dicom_ai.receive.commitment import Invalid
from dicom_ai.receive.procedure_step import ProcedureStepService, read_step
from dicom_ai.receive.tables import accepted
from dicom_ai.settings import Receive
from dicom_ai.store import tables
from dicom_ai.store.committer import Committer
from tests.ledger import Place, place, site

pytestmark = pytest.mark.protocol

STEP = "1.2.88.1"


class Ward:
    """A receiver, and one association of a scanner."""

    def __init__(self, folder: Path) -> None:
        self.here: Place = place(folder, tables=site())
        self.steps: Steps = stepping(Ledger(self.here.engine, self.here.jobs, self.here.clock), 5.0)
        committer = Committer(self.here.keeper, wait_ms=5, batch=32)
        self.acceptor = PynetdicomAcceptor(
            Receive(port=0), lambda: accepted(accept_all=False), authorise=lambda *_: True, keep=committer.keep,
            notices=committer, spool=self.here.files.new_spool,
        )  # fmt: skip
        self.acceptor.offer(ProcedureStepService(self._take))
        self.port = self.acceptor.start()

    def _take(self, message: StepMessage) -> int:
        return self.steps(message)

    def keep(self, *numbers: int) -> None:
        found = [self.here.spooled(number) for number in numbers]
        assert {receipt.status for receipt in self.here.keeper.keep(found)} == {0}
        self.here.keeper.end(["a1"])

    def associate(self, calling: str = "SCANNER") -> Association:
        ae = AE(ae_title=calling)
        ae.add_requested_context(ModalityPerformedProcedureStep)
        association = ae.associate("127.0.0.1", self.port, ae_title="DICOM_AI")
        assert association.is_established
        return association

    def states(self) -> list[str]:
        return [row.state for row in self.here.rows(tables.procedure_steps)]

    def is_told(self) -> bool:
        return self.here.rows(tables.studies)[0].rest_at is not None


@pytest.fixture
def ward(tmp_path: Path) -> Iterator[Ward]:
    one = Ward(tmp_path)
    yield one
    one.acceptor.drain(0.5)
    one.here.engine.dispose()


def message(state: str, *numbers: int) -> Dataset:
    ds = Dataset()
    if state:
        ds.PerformedProcedureStepStatus = state
    series = Dataset()
    series.ReferencedImageSequence = []
    series.ReferencedNonImageCompositeSOPInstanceSequence = []
    for number in numbers:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = US_IMAGE, f"1.2.3.{number}"
        kind = "ReferencedImageSequence" if number % 2 else "ReferencedNonImageCompositeSOPInstanceSequence"
        series[kind].value.append(item)
    ds.PerformedSeriesSequence = [series]
    return ds


def create(association: Association, state: str = "IN PROGRESS", uid: str | None = STEP) -> int | None:
    status: int | None = association.send_n_create(message(state), ModalityPerformedProcedureStep, uid)[0].get("Status")
    return status


def change(association: Association, ds: Dataset, uid: str = STEP) -> int | None:
    status: int | None = association.send_n_set(ds, ModalityPerformedProcedureStep, uid)[0].get("Status")
    return status


def test_a_completed_step_that_lists_everything_shortens_the_wait(ward: Ward) -> None:
    scanner = ward.associate()
    assert create(scanner) == 0x0000
    ward.keep(1, 2)
    assert change(scanner, message("", 1, 2)) == 0x0000
    assert not ward.is_told(), "it goes on"
    assert change(scanner, message("COMPLETED", 1, 2)) == 0x0000
    scanner.release()
    assert ward.is_told()
    assert ward.states() == ["COMPLETED"]


@pytest.mark.parametrize(
    ("state", "listed"), [("COMPLETED", (1,)), ("COMPLETED", (1, 2, 3)), ("COMPLETED", ()), ("DISCONTINUED", (1, 2))]
)
def test_any_other_end_shortens_nothing(ward: Ward, state: str, listed: tuple[int, ...]) -> None:
    scanner = ward.associate()
    assert create(scanner) == 0x0000
    ward.keep(1, 2)
    assert change(scanner, message(state, *listed)) == 0x0000
    scanner.release()
    assert not ward.is_told()
    assert ward.states() == [state]


def test_statuses_are_those_of_the_standard(ward: Ward) -> None:
    scanner, other = ward.associate(), ward.associate("OTHER")
    assert create(scanner, "COMPLETED") == 0x0106
    assert create(scanner, "") == 0x0106
    assert create(scanner, uid=None) == 0x0117
    assert change(scanner, message("COMPLETED")) == 0x0112
    assert create(scanner) == 0x0000
    assert create(scanner) == 0x0111
    assert change(scanner, message("FINISHED")) == 0x0106
    assert change(other, message("COMPLETED")) == 0x0112  # a step belongs to who opened it
    assert change(scanner, message("COMPLETED")) == 0x0000
    assert change(scanner, message("IN PROGRESS")) == 0x0110
    scanner.release()
    other.release()
    assert ward.states() == ["COMPLETED"]


def test_what_cannot_be_written_down_is_a_failure(ward: Ward) -> None:
    def broken(_: StepMessage) -> int:
        raise LedgerUnavailable("locked")

    ward.steps = broken
    scanner = ward.associate()
    assert create(scanner) == 0x0110
    scanner.release()
    assert ward.states() == []


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_read_or_refused(content: bytes, is_new: bool) -> None:
    try:
        state, _ = read_step(BytesIO(content), ImplicitVRLittleEndian, is_new=is_new)
    except Invalid:
        return
    assert state in ({"IN PROGRESS"} if is_new else {"", "IN PROGRESS", "COMPLETED", "DISCONTINUED"})
