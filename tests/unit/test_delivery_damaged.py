"""A study with an object that no reader can read to its end: forwarded, and named in a report on the others."""

import struct
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pydicom import dcmread

from dicom_ai.errors import UnreadableInstance
from dicom_ai.headers import header
from dicom_ai.instance import Identity, Instance
from dicom_ai.ports import Spooled
from dicom_ai.receive.scan import scan
from dicom_ai.site import SiteTables
from dicom_ai.store import tables
from dicom_ai.store.files import part10_digest
from tests.ledger import EXPLICIT_LE
from tests.stored import dataset_bytes
from tests.workplace import Workplace, destination, lung, pacs, small_cropper, tiny, workplace

torch.set_num_threads(1)
DEPTH = 400
PIXEL_DATA = struct.pack("<HH", 0x7FE0, 0x0010)


def nested() -> bytes:
    """A private sequence, nested deeper than a recursive reader can go, behind all the receiver looks at."""
    item = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
    begin = struct.pack("<HH2sHL", 0x0029, 0x1010, b"SQ", 0, 0xFFFFFFFF) + item
    end = struct.pack("<HHLHHL", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    return begin * DEPTH + end * DEPTH


def damaged(spooled: Spooled) -> Spooled:
    """The same object with the nested sequence before its pixels, as the receiver spools it."""
    whole = spooled.path.read_bytes()
    data_set = dataset_bytes(whole)
    at = data_set.index(PIXEL_DATA)
    data_set = data_set[:at] + nested() + data_set[at:]
    content = whole[: len(whole) - len(dataset_bytes(whole))] + data_set
    spooled.path.write_bytes(content)
    found = scan(data_set, EXPLICIT_LE)
    return replace(
        spooled,
        digest=part10_digest(content),
        size=len(data_set),
        instance=Instance.of(found, EXPLICIT_LE),
        identity=Identity.of(found),
    )


@pytest.fixture
def work(tmp_path: Path) -> Workplace:
    with small_cropper() as cropper, pacs(tmp_path / "pacs") as peer:
        site = SiteTables(destinations=(destination(peer.port),))
        one = workplace(tmp_path / "data", cropper, [tiny(tmp_path / "model")], site=site)
        good, bad = (one.spooled(ds) for ds in lung())
        receipts = one.here.keeper.keep([good, damaged(bad)])
        assert [receipt.status for receipt in receipts] == [0, 0]
        one.here.keeper.end(["a1"])
        one.analyse(one.closed_set())
        one.deliver()
        return one


def test_one_damaged_object_does_not_cost_the_study_its_report(work: Workplace) -> None:
    assert {(row.kind, row.state) for row in work.deliveries()} == {
        ("source", "sent"),
        ("capture", "sent"),
        ("report", "sent"),
    }
    rows = {row.reason: row for row in work.rows(tables.objects)}
    assert set(rows) == {None, "malformed"}
    (report,) = [row for row in work.rows(tables.results) if row.kind == "report"]
    text = str(dcmread(work.here.files.path(report.digest)))
    assert all(row.sop_uid in text for row in rows.values())


def test_the_beginning_of_a_damaged_object_is_read_and_no_more_is_asked(work: Workplace, tmp_path: Path) -> None:
    bad = next(row for row in work.rows(tables.objects) if row.reason == "malformed")
    path = work.here.files.path(bad.digest)
    with pytest.raises(RecursionError):
        dcmread(path, stop_before_pixels=True)
    assert str(header(path).SOPInstanceUID) == bad.sop_uid
    assert header(path).Columns > 0
    nothing = tmp_path / "nothing.dcm"
    nothing.write_bytes(b"no DICOM")
    with pytest.raises(UnreadableInstance):
        header(nothing)
