"""Two revisions of one study at work at the same time: the newest report is the last one a destination receives."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from pydicom.dataset import Dataset

from dicom_ai.classify.catalogue import Installed
from dicom_ai.crop.cropper import Cropper
from dicom_ai.simulate.exam import Exam
from dicom_ai.site import SiteTables
from dicom_ai.store import outbox, tables
from dicom_ai.store.database import write
from tests.peers import free_port
from tests.workplace import Received, Workplace, destination, lung, pacs, small_cropper, tiny, workplace

torch.set_num_threads(1)
pytestmark = pytest.mark.databases("verify")


@pytest.fixture(scope="module")
def cropper() -> Iterator[Cropper]:
    with small_cropper() as one:
        yield one


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return tiny(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def study() -> Exam:
    return lung()


@dataclass
class Race:
    """Two revisions of one study, both analysed and neither queued; whoever is queued first wins the race."""

    work: Workplace
    peer: Received
    keys: dict[int, tuple[str, str]]

    def queue(self, revision: int) -> None:
        self.work.story.queue_results(*self.keys[revision])

    def deliver(self) -> None:
        self.work.here.clock.forward(200)  # whatever waits for a later time is due
        self.work.deliver()

    def unreachable(self) -> None:
        self.work.site = SiteTables(destinations=(destination(free_port()),))
        self.deliver()
        self.work.site = SiteTables(destinations=(destination(self.peer.port),))

    def told(self) -> list[int]:
        """Revisions of the reports the PACS has, in the order of their arrival."""
        return [int(report.InstanceNumber) for report in self.peer.reports()]


@pytest.fixture
def race(tmp_path: Path, cropper: Cropper, model: Installed, study: Exam) -> Iterator[Race]:
    with pacs(tmp_path / "pacs") as peer:
        site = SiteTables(destinations=(destination(peer.port),))
        work = workplace(tmp_path / "data", cropper, [model], site=site)
        keys = {}
        for revision, ds in enumerate(study, 1):
            work.receive(ds)
            set_id = work.closed_set()
            name = work.story.choose_model(set_id)
            work.story.crop(set_id, name)
            work.story.classify(set_id, name)
            keys[revision] = (set_id, work.story.report(set_id, name))
        yield Race(work, peer, keys)


def predecessors(report: Dataset) -> list[str]:
    named = report.get("PredecessorDocumentsSequence") or []
    series = [one for item in named for one in item.ReferencedSeriesSequence]
    return [str(one.ReferencedSOPInstanceUID) for group in series for one in group.ReferencedSOPSequence]


ORDERS: dict[str, tuple[str, ...]] = {
    "one after the other": ("queue 1", "deliver", "queue 2", "deliver"),
    "the first is late": ("queue 2", "queue 1", "deliver"),
    "the first is very late": ("queue 2", "deliver", "queue 1", "deliver"),
    "the second is faster than the delivery": ("queue 1", "queue 2", "deliver"),
    "the destination was away": ("queue 1", "away", "queue 2", "deliver"),
    "the first was given up and is revived": ("queue 1", "gone", "queue 2", "revive", "deliver"),
}


@pytest.mark.parametrize("order", ORDERS)
def test_the_newest_report_is_the_last_to_arrive_and_names_the_one_before_it(race: Race, order: str) -> None:
    acts: dict[str, Callable[[], None]] = {
        "queue 1": lambda: race.queue(1),
        "queue 2": lambda: race.queue(2),
        "deliver": race.deliver,
        "away": race.unreachable,
        "gone": lambda: gone(race),
        "revive": lambda: revive(race),
    }
    for act in ORDERS[order]:
        acts[act]()
    race.work.story.recover(lambda _: {})
    race.deliver()
    assert race.told() in ([2], [1, 2])
    assert (race.told() == [1, 2]) is (order == "one after the other")
    *earlier, last = race.peer.reports()
    assert set(predecessors(last)) >= {report.SOPInstanceUID for report in earlier}
    ends = {(row.state, row.reason) for row in race.work.deliveries() if row.kind != "source"}
    assert ends <= {("sent", None), ("dead", "superseded")}
    assert [row.state for row in race.work.rows(tables.alarms)] in ([], ["over"] * 4)
    assert race.peer.kinds().count("source") == 2


def gone(race: Race) -> None:
    race.work.site = SiteTables()
    race.deliver()
    race.work.site = SiteTables(destinations=(destination(race.peer.port),))


def revive(race: Race) -> None:
    with write(race.work.here.engine) as connection:
        ids = [row.id for row in race.work.rows(tables.deliveries)]
        outbox.revive(connection, ids, now=race.work.here.clock(), enqueue=race.work.here.jobs)


@pytest.mark.parametrize("when", ["source", "capture", "report"])
def test_a_revision_that_comes_while_the_first_is_on_its_way(race: Race, when: str) -> None:
    """The second is queued in the moment in which the PACS has received the first original, capture or report."""

    def watch() -> None:
        if race.peer.kinds()[-1] == when and race.peer.kinds().count(when) == 1:
            race.queue(2)

    race.queue(1)
    race.peer.watch = watch
    race.deliver()
    race.deliver()
    assert race.told() == ([1, 2] if when == "report" else [2])
    *earlier, last = race.peer.reports()
    assert predecessors(last) == [report.SOPInstanceUID for report in earlier]
