"""A contradiction that comes up while a courier is at work: what was picked up and not sent yet stays here.

The hook stands where the proof of kill points has its own; the object arrives as in life, over the receiver's commit.
"""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from pydicom.dataset import Dataset

from dicom_ai.classify.catalogue import Installed
from dicom_ai.crop.cropper import Cropper
from dicom_ai.simulate.exam import Shot
from dicom_ai.site import SiteTables
from dicom_ai.store import tables
from tests.workplace import Workplace, destination, lung, pacs, small_cropper, tiny, workplace

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def cropper() -> Iterator[Cropper]:
    with small_cropper() as one:
        yield one


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return tiny(tmp_path_factory.mktemp("model"))


def another(ds: Dataset) -> Dataset:
    """Another patient under the same UIDs."""
    other = copy.deepcopy(ds)
    other.PatientID = "ANOTHER"
    return other


def once_at(monkeypatch: pytest.MonkeyPatch, point: str, number: int, act: Callable[[], object]) -> None:
    """Act when a courier reaches a point for the nth time."""
    reached: list[str] = []

    def note(name: str) -> None:
        reached.append(name)
        if name == point and reached.count(point) == number:
            act()

    monkeypatch.setattr("dicom_ai.delivery.points.reached", note)


def answered(work: Workplace) -> Dataset:
    """One image of which the results wait, its original as well."""
    (ds,) = lung(Shot(frozenset({"b_lines"})))
    work.answered(ds)
    return ds


def test_what_was_picked_up_is_not_sent(tmp_path: Path, monkeypatch, cropper: Cropper, model: Installed) -> None:
    with pacs(tmp_path / "pacs") as peer:
        work = workplace(tmp_path / "data", cropper, [model], site=SiteTables(destinations=(destination(peer.port),)))
        ds = answered(work)
        once_at(monkeypatch, "before-send", 1, lambda: work.receive(another(ds)))
        work.deliver()
        assert peer.kinds() == ["source"], "the original goes on, nothing of the patient in doubt does"
    results = [row for row in work.deliveries() if row.kind != "source"]
    assert results
    assert {(row.state, row.reason) for row in results} == {("held", "identity_conflict")}
    assert work.rows(tables.recalls) == []


def test_what_was_sent_in_that_moment_is_to_be_recalled(
    tmp_path: Path, monkeypatch, cropper: Cropper, model: Installed
) -> None:
    with pacs(tmp_path / "pacs") as peer:
        work = workplace(tmp_path / "data", cropper, [model], site=SiteTables(destinations=(destination(peer.port),)))
        ds = answered(work)
        # the second answer is that of the first capture, and it is not recorded yet
        once_at(monkeypatch, "after-answer", 2, lambda: work.receive(another(ds)))
        work.deliver()
        assert peer.kinds() == ["source", "capture"]
    capture, *others = sorted(
        (row for row in work.deliveries() if row.kind != "source"), key=lambda row: row.state != "sent"
    )
    assert (capture.kind, capture.state) == ("capture", "sent")
    assert {(row.state, row.reason) for row in others} == {("held", "identity_conflict")}
    assert [row.delivery for row in work.rows(tables.recalls)] == [capture.id]


def test_a_destination_that_refuses_does_not_end_what_is_held(
    tmp_path: Path, monkeypatch, cropper: Cropper, model: Installed
) -> None:
    with pacs(tmp_path / "pacs", "status:C000") as peer:
        work = workplace(tmp_path / "data", cropper, [model], site=SiteTables(destinations=(destination(peer.port),)))
        ds = answered(work)
        once_at(monkeypatch, "after-answer", 2, lambda: work.receive(another(ds)))
        work.deliver()
    results = [row for row in work.deliveries() if row.kind != "source"]
    assert {(row.state, row.reason) for row in results} == {("held", "identity_conflict")}
