"""Basic Text SR, page, PDF and the stills of a clip through a real Orthanc: they come back as they were sent."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import BasicTextSRStorage

from dicom_ai.deliver.negotiate import REPORT_SYNTAX
from dicom_ai.deliver.send import Item, Sender, deliver_batch
from dicom_ai.report.header import part10
from dicom_ai.report.pages import PAGES, report_page
from dicom_ai.report.stills import key_frame_stills
from dicom_ai.report.structured import structured_report
from dicom_ai.settings import Deliver
from tests.builders_report import lung, source
from tests.forms import drawn
from tests.peers import orthanc
from tests.workplace import destination

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(280)]


def results(language: str) -> Iterator[Dataset]:
    headers = [source(1, frames=3), source(2)]
    content, captures = drawn(lung(headers, language), headers)
    by_uid = {str(ds.SOPInstanceUID): ds for ds in captures}
    yield structured_report(content, headers, captures, sop_class=BasicTextSRStorage)
    for sop_class in PAGES:
        yield report_page(content, headers, by_uid.__getitem__, sop_class=sop_class)
    yield from key_frame_stills(content, captures[0])


def test_every_lesser_form_comes_back_equal(tmp_path: Path) -> None:
    (tmp_path / "orthanc").mkdir()
    made = list(results("zh"))
    items = []
    for number, ds in enumerate(made):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(part10(ds))
        items.append(Item(number, path, str(ds.SOPClassUID), REPORT_SYNTAX))
    with orthanc(tmp_path / "orthanc") as pacs:
        wanted = list(dict.fromkeys((item.sop_class, item.transfer_syntax) for item in items))
        target = destination(pacs.port, ae_title=pacs.ae_title)
        with Sender(Deliver()).associate(target, wanted) as association:
            assert [outcome.state for outcome in deliver_batch(association, items)] == ["sent"] * len(items)
        (tmp_path / "back").mkdir()
        back = {}
        for number, content in enumerate(pacs.received()):
            path = tmp_path / "back" / f"{number}.dcm"
            path.write_bytes(content)
            ds = dcmread(path)
            back[str(ds.SOPInstanceUID)] = ds
    assert len(back) == len(made) == 5
    for item in items:
        sent = dcmread(item.path)
        assert back[str(sent.SOPInstanceUID)] == sent
