"""Success rests on the file as well as on the row, and a fault of the committer forgets no association."""

from pathlib import Path

import pytest

from dicom_ai.ports import Receipt
from dicom_ai.store import tables
from dicom_ai.store.committer import Committer
from tests.ledger import place

pytestmark = pytest.mark.databases


def test_a_known_object_whose_file_is_gone_is_kept_again(tmp_path: Path) -> None:
    here = place(tmp_path)
    here.keeper.keep([here.spooled(1)])
    path = here.files.path(here.rows(tables.objects)[0].digest)
    content = path.read_bytes()
    path.unlink()  # a folder restored from another day than the ledger
    assert here.keeper.keep([here.spooled(1)]) == [Receipt(0)]
    assert path.read_bytes() == content


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_association_that_ended_before_a_fault_is_written_down_after_it(tmp_path: Path) -> None:
    here = place(tmp_path)
    committer = Committer(here.keeper, wait_ms=0, batch=8)
    committer.keep([here.spooled(1)])

    class Faulty:
        def keep(self, batch: object) -> None:
            raise RuntimeError("a bug")

        def end(self, associations: object) -> None:
            raise RuntimeError("a bug")

    committer._keeper = Faulty()
    committer.association_ended("a1")
    assert committer._thread is not None
    committer._thread.join(10)
    committer._keeper = here.keeper
    committer.association_ended("a2")
    committer.stop()
    assert here.rows(tables.associations) == []
