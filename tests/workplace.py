"""The work process without its engine: real ledger, store, decoding child, network and sockets; a test runs the jobs.

What this is not: a mock. Jobs are written into the ledger as the engine's are; here the test decides which one runs.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from sqlalchemy import Table

from dicom_ai.analysis import Analyst, Style
from dicom_ai.classify.catalogue import Installed
from dicom_ai.classify.runtime import Classifier
from dicom_ai.crop.cropper import Cropper
from dicom_ai.delivery import Courier
from dicom_ai.instance import Identity, Instance
from dicom_ai.ledger import Ledger
from dicom_ai.ports import Receipt, Spooled
from dicom_ai.report.header import part10
from dicom_ai.settings import Deliver, Settings, Store
from dicom_ai.settle import Looks
from dicom_ai.simulate.exam import Exam, Shot, exam
from dicom_ai.simulate.pacs import SimulatedPacs, parse_manners
from dicom_ai.simulate.patients import patient_of
from dicom_ai.site import Destination, SiteTables
from dicom_ai.store import tables
from dicom_ai.store.files import part10_digest
from dicom_ai.store.site_id import SiteId
from dicom_ai.story import Parts, Story
from tests.ledger import Place, place
from tests.unit.tiny_model import write_tiny_model

QUICK = Deliver(connect_timeout_s=10.0, response_timeout_s=10.0, first_retry_s=10.0, max_retry_s=100.0, retention_h=1.0)
SITE = SiteId(store_id="5" * 32, namespace="a" * 64)
SR_CLASSES = tuple(f"1.2.840.10008.5.1.4.1.1.88.{last}" for last in (34, 33, 22))
CAPTURE_CLASSES = ("1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.7.4")


def lung(*shots: Shot, seed: int = 5) -> Exam:
    """A drawn lung study; two stills unless told otherwise."""
    content = shots or (Shot(frozenset({"b_lines"})), Shot(frozenset({"a_lines"})))
    return exam("lung", seed=seed, patient=patient_of(seed), content=content)


def small_cropper(**changes: Any) -> Cropper:
    """A decoding child."""
    return Cropper(**({"children": 1, "memory_mib": 1024, "timeout_s": 60.0, "recycle_after": 200} | changes))


def tiny(folder: Path, thresholds: tuple[float, float] = (0.01, 0.99), **changes: Any) -> Installed:
    """A tiny model that calls its first class present and its second absent, unless told otherwise."""
    card = write_tiny_model(folder)
    classes = [
        {**one.model_dump(), "threshold": value, "code": {"value": code, "scheme": "99DICOMAI", "meaning": code}}
        for one, value, code in zip(card.classes, thresholds, ("ALINE", "BLINE"), strict=True)
    ]
    abstain = {"kind": "none", "threshold": 0.0, "false_alarm": 0.0}
    return Installed(folder, write_tiny_model(folder, **{"classes": classes, "abstain": abstain, **changes}))


def classifier(one: Installed) -> Classifier:
    """The model on the CPU."""
    return Classifier(one.folder, device="cpu")


def destination(port: int, name: str = "pacs", **changes: Any) -> Destination:
    """A node on this machine that takes originals and results."""
    values = {"ae_title": "PACS", "host": "127.0.0.1", "forward": "all", "test": True, **changes}
    return Destination(name=name, port=port, **values)


@dataclass
class Workplace:
    """One data folder, its parts and the jobs that wait. `site` may be replaced between two jobs."""

    here: Place
    analyst: Analyst
    site: SiteTables
    settings: Settings

    def __post_init__(self) -> None:
        ledger = Ledger(self.here.engine, self.here.jobs, self.here.clock)
        self.courier = Courier(
            self.settings.deliver, ledger, files=self.here.files, site=lambda: self.site, chance=random.Random(1)
        )
        parts = Parts(
            ledger=ledger, files=self.here.files, analyst=self.analyst, courier=self.courier, site=lambda: self.site
        )
        self.story = Story(self.settings, parts)
        # time passes by moving the one clock of the tests; nobody sets it
        self.story.looks = Looks(ledger, self.settings.store, monotonic=lambda: self.here.clock().timestamp())

    def receive(self, *objects: Dataset) -> list[Receipt]:
        """Keep objects as if an association had brought them and ended."""
        receipts = self.here.keeper.keep([self.spooled(ds) for ds in objects])
        self.here.keeper.end(["a1"])
        return receipts

    def spooled(self, ds: Dataset) -> Spooled:
        """The object in the spool."""
        content = part10(ds)
        path = self.here.files.new_spool()
        path.write_bytes(content)
        return Spooled(
            path=path,
            digest=part10_digest(content),
            size=len(content),
            instance=Instance.of(ds, ds.file_meta.TransferSyntaxUID),
            identity=Identity.of(ds),
            calling_ae="SCANNER",
            called_ae="DICOM_AI",
            association="a1",
        )

    def closed_set(self) -> str:
        """Let the study rest and close its newest set."""
        self.here.clock.forward(1000)
        set_id = str(self.rows(tables.sets)[-1].id)
        self.story.settle(set_id)
        return set_id

    def analyse(self, set_id: str) -> str:
        """Every step of an analysis; the key."""
        model = self.story.choose_model(set_id)
        self.story.crop(set_id, model)
        self.story.classify(set_id, model)
        key = self.story.report(set_id, model)
        self.story.queue_results(set_id, key)
        return key

    def answered(self, *objects: Dataset) -> str:
        """Receive, settle, analyse; the key of the analysis."""
        self.receive(*objects)
        return self.analyse(self.closed_set())

    def deliver(self, name: str = "pacs") -> int:
        """Run the newest delivery job of a destination, as far as it is due."""
        jobs = [job for job in self.here.jobs.all() if job.workflow == "deliver" and job.arguments[1] == name]
        study, _, generation = max(jobs, key=lambda job: job.arguments[2]).arguments
        return self.story.deliver(study, name, generation)

    def rows(self, table: Table) -> Sequence[Any]:
        """All rows of a table."""
        return self.here.rows(table)

    def deliveries(self, kind: str | None = None, name: str = "pacs") -> list[Any]:
        """Delivery rows of a destination."""
        found = [row for row in self.rows(tables.deliveries) if row.destination == name]
        return [row for row in found if kind is None or row.kind == kind]

    def events(self, kind: str) -> list[Any]:
        """What the diary says of one kind."""
        return [row.ids for row in self.rows(tables.events) if row.kind == kind]

    def everything(self) -> dict[str, list[Any]]:
        """The whole ledger, table by table, jobs included; and every stored file."""
        rows = {name: sorted(map(str, self.rows(table))) for name, table in tables.metadata.tables.items()}
        files = {path.name: path.stat().st_size for path in (self.here.data / "store").rglob("*.dcm")}
        return {**rows, "jobs": sorted(map(str, self.here.jobs.all())), "files": sorted(files.items())}


def workplace(
    data: Path,
    cropper: Cropper,
    models: Sequence[Installed],
    *,
    site: SiteTables | None = None,
    load: Callable[[Installed], Classifier] = classifier,
    **sections: Any,
) -> Workplace:
    """Build a workplace in `data`.

    `sections` are those of the settings (`deliver` has short times unless given; `switches` is the section `models`).
    """
    if "switches" in sections:
        sections["models"] = sections.pop("switches")
    in_force = site or SiteTables(destinations=(destination(1),))
    analyst = Analyst(cropper, load, models, site=SITE, station="TEST", style=Style())
    settings = Settings(store=Store(data=data), **({"deliver": QUICK} | sections))
    return Workplace(place(data, tables=in_force), analyst, in_force, settings)


class Received:
    """What a PACS was sent: rows in the order of arrival, files in its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self.rows: list[dict[str, Any]] = []
        self.watch: Callable[[], None] = lambda: None  # called after each object

    def tell(self, row: dict[str, Any]) -> None:
        """An object has arrived."""
        self.rows.append(row)
        self.watch()

    def files(self, uid: str) -> list[bytes]:
        """Every file kept under one SOP Instance UID; two are two contents."""
        return [path.read_bytes() for path in self.folder.rglob(f"{uid}*.dcm")]

    def kinds(self) -> list[str]:
        """report, capture or source, in the order of arrival."""
        return [kind_of(row["sop_class"]) for row in self.rows]

    def reports(self) -> list[Dataset]:
        """The structured reports that were kept."""
        uids = [row["sop_uid"] for row in self.rows if row["sop_class"] in SR_CLASSES]
        return [dcmread(BytesIO(content)) for uid in dict.fromkeys(uids) for content in self.files(uid)]


def kind_of(sop_class: str) -> str:
    """What an object is to us."""
    return "report" if sop_class in SR_CLASSES else "capture" if sop_class in CAPTURE_CLASSES else "source"


@contextmanager
def pacs(folder: Path, *manners: str, port: int = 0) -> Iterator[Received]:
    """A PACS on a free port, with bad manners if told."""
    received = Received(folder)
    clock = lambda: datetime.now(UTC)  # noqa: E731
    with SimulatedPacs(folder, clock=clock, manners=parse_manners(manners), tell=received.tell) as peer:
        received.port = peer.start(port)
        yield received
