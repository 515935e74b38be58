"""An archive that answers queries and gives objects over a real socket, honest or lying as a test tells it to.

What this is not: Orthanc (`tests.peers`); an honest answer there proves that a real archive is understood, a lying one
here that no archive is trusted.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.presentation import build_context

from dicom_ai.archive.answers import is_within
from dicom_ai.archive.association import FIND, GET, MOVE
from dicom_ai.instance import STRUCTURED_REPORTS
from dicom_ai.simulate.pacs import listen

_KEYS = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}


@dataclass
class Archive:
    """What it holds, and how it bends the truth.

    Attributes:
        holds: its objects.
        say: changes the answers to a query.
        give: changes the objects it sends for a C-GET.
        models: Query/Retrieve models it offers.
        classes: storage classes it gives objects of.
        sends_to: AE title -> address and port, for C-MOVE; nothing is sent to others.
        asked: identifiers of the queries, as they came.
        given: SOP Instance UIDs asked for by C-GET.
        moved: (AE title, SOP Instance UID) asked for by C-MOVE.
    """

    holds: list[Dataset]
    say: Callable[[list[Dataset]], list[Dataset]] = lambda answers: answers
    give: Callable[[list[Dataset]], list[Dataset]] = lambda objects: objects
    models: Sequence[str] = (FIND, GET, MOVE)
    classes: Sequence[str] = STRUCTURED_REPORTS
    sends_to: dict[str, tuple[str, int]] = field(default_factory=dict)
    asked: list[Dataset] = field(default_factory=list)
    given: list[str] = field(default_factory=list)
    moved: list[tuple[str, str]] = field(default_factory=list)
    port: int = 0

    def on_find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        wanted = event.identifier
        self.asked.append(wanted)
        yield from ((0xFF00, answer) for answer in self.say(self._answers(wanted)))

    def on_get(self, event: evt.Event) -> Iterator[object]:
        self.given.append(str(event.identifier.get("SOPInstanceUID") or ""))
        objects = self.give(self._matching(event.identifier))
        yield len(objects)
        yield from ((0xFF00, ds) for ds in objects)

    def on_move(self, event: evt.Event) -> Iterator[object]:
        to = str(event.move_destination).strip()
        self.moved.append((to, str(event.identifier.get("SOPInstanceUID") or "")))
        if to not in self.sends_to:
            yield (None, None)
            return
        objects = self.give(self._matching(event.identifier))
        contexts = [build_context(uid, [ExplicitVRLittleEndian]) for uid in self.classes]
        yield (*self.sends_to[to], {"contexts": contexts})
        yield len(objects)
        yield from ((0xFF00, ds) for ds in objects)

    def _matching(self, wanted: Dataset) -> list[Dataset]:
        return [
            ds
            for ds in self.holds
            if all(_agrees(wanted, ds, keyword) for keyword in (*_KEYS.values(), "Modality"))
            and is_within(str(wanted.get("StudyDate") or "-99999999"), str(ds.get("StudyDate") or ""))
        ]

    def _answers(self, wanted: Dataset) -> list[Dataset]:
        found: dict[str, Dataset] = {}
        for ds in self._matching(wanted):
            answer = Dataset()
            answer.SpecificCharacterSet = "ISO_IR 192"
            for element in wanted:
                if element.keyword in ds:
                    answer[element.keyword] = ds[element.keyword]
            answer.QueryRetrieveLevel = wanted.QueryRetrieveLevel
            found.setdefault(str(ds[_KEYS[wanted.QueryRetrieveLevel]].value), answer)
        return list(found.values())


def _agrees(wanted: Dataset, ds: Dataset, keyword: str) -> bool:
    return not wanted.get(keyword) or wanted.get(keyword) == ds.get(keyword)


@contextmanager
def archive(*holds: Dataset, **manners: object) -> Iterator[Archive]:
    """An archive on a free port; `manners` are fields of `Archive`."""
    one = Archive(list(holds), **manners)  # type: ignore[arg-type]
    entity = AE("PACS")
    entity.supported_contexts = [
        build_context(uid, [ExplicitVRLittleEndian, ImplicitVRLittleEndian]) for uid in one.models
    ]
    for uid in one.classes:
        entity.add_supported_context(
            uid, [ExplicitVRLittleEndian, ImplicitVRLittleEndian], scu_role=True, scp_role=True
        )
    handlers = [(evt.EVT_C_FIND, one.on_find), (evt.EVT_C_GET, one.on_get), (evt.EVT_C_MOVE, one.on_move)]
    server = listen(entity, ("127.0.0.1", 0), handlers)
    one.port = server.server_address[1]
    try:
        yield one
    finally:
        server.shutdown()
        entity.shutdown()
