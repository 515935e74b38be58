"""A set whose patient cannot be named, in the real workflow: originals go on, nothing else does, a person is called."""

from pathlib import Path

import pytest
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from dicom_ai.engine import StepFailed
from dicom_ai.errors import After, UnreadableIdentity
from dicom_ai.simulate.exam import Shot
from dicom_ai.store import tables
from tests.workplace import lung, small_cropper, tiny, workplace


def test_nothing_is_made_and_a_person_is_told_while_the_original_goes_on(tmp_path: Path) -> None:
    (ds,) = lung(Shot(frozenset({"b_lines"})))
    del ds.SpecificCharacterSet
    name = "王^小东".encode("gbk")
    ds[Tag("PatientName")] = RawDataElement(Tag("PatientName"), "PN", len(name), name, 0, False, True)
    model = tiny(tmp_path / "model")
    with small_cropper() as cropper:
        work = workplace(tmp_path / "data", cropper, (model,))
        work.receive(ds)
        set_id = work.closed_set()
        with pytest.raises(UnreadableIdentity) as caught:
            work.analyse(set_id)
        failure = StepFailed("UnreadableIdentity", caught.value.after.value, caught.value.reason)
        assert failure.after is After.QUARANTINE
        work.story.failed(set_id, 0, failure, "job")
    assert [row.kind for row in work.rows(tables.deliveries)] == ["source"]
    assert [row.reason for row in work.rows(tables.alarms)] == ["identity_unreadable"]
    assert not list((tmp_path / "data").rglob("result*/**/*.dcm"))
