"""Pulls that the service does by itself: an order in a folder, done in short turns by a job of the slowest queue.

A turn pulls studies for a while and enqueues the next one. It does nothing while an analysis of a live study waits or
runs, and outside of the ordered hours; what it had is in the folder's plan, so that a turn may be broken off anywhere.
What this is not: the pulling (`pulling`), or the queue that lets no two of them run (`engine`).
"""

import json
import os
import re
import warnings
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dicom_ai.archive.filters import Filters
from dicom_ai.archive.pace import Hours, Pace, Rate
from dicom_ai.archive.plan import Plan
from dicom_ai.deliver.address import Address, parse_address
from dicom_ai.errors import PeerError, ResourceError, SettingsError
from dicom_ai.ledger import Ledger
from dicom_ai.log import get_logger
from dicom_ai.ports import Job
from dicom_ai.pulling import Puller
from dicom_ai.pulling_from import Origin, opened
from dicom_ai.pulling_intake import Intake
from dicom_ai.settings import Settings
from dicom_ai.site import SiteTables
from dicom_ai.store.database import write
from dicom_ai.store.files import ObjectStore

QUEUE = "pull"
TURN_S, BUSY_S, FAILED_S = 60.0, 10.0, 300.0
"""Seconds: after which a turn begins no other study; until the next look where a live study is analysed; after a
failure."""

MOST_TRIES = 3
"""Times a study is begun by one order."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_ORDER, _PROGRESS = "order.json", "progress.json"


class Order(BaseModel):
    """What to pull. `archive` is the name of a destination of the site: no other node is called."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    archive: str
    receiver: str = ""
    sender: str = ""
    since: date | None = None
    until: date | None = None
    modality: str = "US"
    device: str = ""
    station: str = ""
    description: str = ""
    accessions: tuple[str, ...] = Field(default=(), repr=False)
    between: str = ""
    rate: str = ""

    def filters(self) -> Filters:
        """What is wanted; ValueError as `Filters`."""
        names = ("since", "until", "modality", "device", "station", "description", "accessions")
        return Filters(**{name: getattr(self, name) for name in names})

    def pace(self, settings: Settings, ledger: Ledger) -> Pace:
        """How fast and when, in the site's time zone; ValueError as `Hours.of` and `Rate.of`."""
        hours = Hours.of(self.between) if self.between else None
        zone = ZoneInfo(settings.site.timezone)
        rate = Rate.of(self.rate) if self.rate else None
        return Pace(hours, rate, lambda: ledger.clock().astimezone(zone), monotonic, sleep)


def folder_of(data: Path, name: str) -> Path:
    """Where a pull of this name lies.

    Raises:
        SettingsError: the name is no name.
    """
    if not _NAME.fullmatch(name):
        raise SettingsError("a pull is called by small letters, digits and dashes, at most 40")
    return data / "pulls" / name


def give_order(settings: Settings, ledger: Ledger, name: str, order: Order) -> None:
    """Write an order down and enqueue its first turn; the same order again begins what failed anew.

    Raises:
        SettingsError: the name is no name, or means another order, or the order cannot be carried out.
    """
    folder = folder_of(settings.store.data, name)
    try:
        order.filters(), order.pace(settings, ledger)
        _receiver(order)
    except ValueError as exc:
        raise SettingsError(str(exc)) from exc
    if (folder / _ORDER).exists() and read_order(settings.store.data, name) != order:
        raise SettingsError(f"there is another order called {name}; choose another name")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(folder / _ORDER, order.model_dump(mode="json"))
    now = int(ledger.clock().timestamp() * 1000)
    with write(ledger.engine) as connection:
        ledger.enqueue(connection, _job(name, now, 0))


def read_order(data: Path, name: str) -> Order:
    """The order of this name.

    Raises:
        SettingsError: there is none.
    """
    try:
        return Order.model_validate_json((folder_of(data, name) / _ORDER).read_text(encoding="utf-8"))
    except (OSError, ValidationError) as exc:
        raise SettingsError(f"there is no order called {name}") from exc


def progress(data: Path) -> list[dict[str, Any]]:
    """Name, state and counts of every order, as its last turn left them."""
    told = []
    for order in sorted((data / "pulls").glob(f"*/{_ORDER}")):
        file = order.with_name(_PROGRESS)
        last = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"state": "ordered"}
        told.append({"name": order.parent.name, **last})
    return told


class Pulls:
    """Does the turns. A turn may be repeated."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        site: Callable[[], SiteTables],
        jobs: Callable[[str], Mapping[str, str]],
    ) -> None:
        """Take the parts; `jobs` gives the jobs of a workflow that wait or run."""
        self._settings, self._ledger, self._site, self._jobs = settings, ledger, site, jobs
        self._log = get_logger()

    def turn(self, name: str, run: int, number: int) -> str:
        """Pull for a while, then enqueue the next turn unless all is done; what came of it in a word."""
        order, folder = read_order(self._settings.store.data, name), folder_of(self._settings.store.data, name)
        pace = order.pace(self._settings, self._ledger)
        closed = pace.hours.wait_s(pace.clock()) if pace.hours else 0.0
        if self._is_busy() or closed:
            return self._next(name, run, number, ("waiting", max(closed, BUSY_S)))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # they quote element values
                state = self._pull(order, folder, pace, is_first=number == 0)
        except (PeerError, ResourceError, ValueError) as exc:
            self._log.warning("not pulled", action="pull", error=type(exc).__name__)
            self._tell_failed(folder, type(exc).__name__)
            return self._next(name, run, number, ("failed", FAILED_S))
        if state == "done":
            self._log.info("pulled", action="pull")
            return state
        return self._next(name, run, number, (state, 0.0))

    def again(self, name: str, run: int, number: int) -> str:
        """A turn failed in a way nobody foresaw: the next one, later."""
        return self._next(name, run, number, ("failed", FAILED_S))

    def _tell_failed(self, folder: Path, error: str) -> None:
        """For `archive list`; the counts stay those of the last turn that ended well."""
        file = folder / _PROGRESS
        last = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        _write(file, {**last, "state": "failed", "error": error})

    def _is_busy(self) -> bool:
        return bool(self._jobs("analyse"))

    def _next(self, name: str, run: int, number: int, what: tuple[str, float]) -> str:
        state, delay_s = what
        with write(self._ledger.engine) as connection:
            self._ledger.enqueue(connection, _job(name, run, number + 1, delay_s))
        return state

    def _pull(self, order: Order, folder: Path, pace: Pace, *, is_first: bool) -> str:
        origin, filters = self._origin(order), order.filters()
        files = ObjectStore(folder, min_free_mib=self._settings.store.min_free_mib)
        plan = Plan(folder, {"from": origin.question(), **filters.question()})
        try:
            if is_first:
                plan.forget_tries()
            intake = Intake(plan, files, filters, pace.took)
            with opened(origin, intake, self._settings.deliver, self._settings.receive) as source:
                state = self._studies(Puller(source, intake, filters, pace))
            _write(folder / _PROGRESS, {"state": state, **plan.counts(), "not_taken": len(plan.refusals())})
            return state
        finally:
            plan.close()

    def _studies(self, puller: Puller) -> str:
        until = monotonic() + TURN_S
        puller.list_studies()
        while todo := puller.plan.todo(MOST_TRIES):  # one at least: a turn that does nothing would never end the order
            puller.plan.tried(todo[0])
            puller.study(todo[0])
            if monotonic() > until or self._is_busy():
                return "pulling"
        return "done"

    def _origin(self, order: Order) -> Origin:
        for one in self._site().destinations:
            if one.name == order.archive:
                at = Address(one.ae_title, one.host, one.port)
                return Origin(archive=at, receiver=_receiver(order), sender=order.sender)
        raise ValueError("the site's tables name no such destination")


def _receiver(order: Order) -> Address | None:
    return parse_address(order.receiver) if order.receiver else None


def _job(name: str, run: int, number: int, delay_s: float = 0.0) -> Job:
    return Job("pull", f"pull:{name}:{run}:{number}", QUEUE, (name, run, number), delay_s)


def _write(file: Path, told: dict[str, Any]) -> None:
    """Aside, for the owner alone, and renamed."""
    aside = file.with_suffix(".new")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as opened_file:
        json.dump(told, opened_file)
        opened_file.flush()
        os.fsync(opened_file.fileno())
    aside.replace(file)
