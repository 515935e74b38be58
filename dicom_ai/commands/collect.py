"""The command `verdicts collect`: asks the archives for verdicts on our reports, day by day of our reports.

What this is not: how an archive is asked (`collecting`), or how a document is judged (`verdicts`).
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from dicom_ai.collecting import Collector, Found
from dicom_ai.commands.desk import acting
from dicom_ai.errors import PeerError, SettingsError
from dicom_ai.ledger import Ledger
from dicom_ai.rows import print_row, print_table, say
from dicom_ai.settings import Settings
from dicom_ai.site import Destination
from dicom_ai.store import verdicts
from dicom_ai.store.database import read
from dicom_ai.store.files import ObjectStore
from dicom_ai.store.site_rows import newest
from dicom_ai.store.verdicts import VERDICT, Reported
from dicom_ai.verdicts import Verdicts

Days = tuple[date | None, date | None]
_WORTH_A_LINE = (VERDICT, "sent_to_us", "not_there")


@dataclass(frozen=True)
class _Result:
    """What came of one archive: every finding, and the sentence that says why it could not be asked (to the end)."""

    found: list[Found]
    trouble: str = ""


def collect(settings: Settings, days: Days, destination: str, *, clock: Callable[[], datetime], as_json: bool) -> int:
    """Collect; return the exit code: 1 when an archive did not answer or something was refused.

    Args:
        settings: of the service.
        days: first and last day, in the site's zone, on which our reports were made; None: no bound.
        destination: name of one of the site's tables, or "all".
        clock: aware times.
        as_json: print a JSON row per document, answer or study that is worth a word, and one per archive.

    Raises:
        SettingsError: there is no such destination, the days are the wrong way round, or there is no ledger yet.
        LedgerUnavailable: it cannot be read or written.
    """
    since, until = _bounds(days, ZoneInfo(settings.site.timezone))
    is_failed = False
    with acting(settings, clock) as desk:
        with read(desk.engine) as connection:
            archives = _archives(newest(connection).destinations, destination)
            reports = {one.name: verdicts.reported(connection, one.name, since, until) for one in archives}
        with _progress(sum(map(len, reports.values()))) as step:
            for archive in archives:
                result = _ask(archive, reports[archive.name], _collector(desk, settings), step)
                _tell(archive, len(reports[archive.name]), result, as_json=as_json)
                is_failed |= bool(result.trouble) or not all(one.is_harmless for one in result.found)
    return int(is_failed)


def _bounds(days: Days, zone: ZoneInfo) -> tuple[datetime | None, datetime | None]:
    first, last = days
    if first and last and first > last:
        raise SettingsError("--from is later than --to; give the earlier day as --from")
    begin = datetime(first.year, first.month, first.day, tzinfo=zone) if first else None
    after = last + timedelta(days=1) if last else None
    return begin, datetime(after.year, after.month, after.day, tzinfo=zone) if after else None


def _archives(known: Sequence[Destination], wanted: str) -> list[Destination]:
    if wanted == "all":
        found = [one for one in known if one.results]
        if not found:
            raise SettingsError("no destination takes results; put one into the site file and run `dicom-ai apply`")
        return found
    found = [one for one in known if one.name == wanted]
    if not found:
        names = ", ".join(one.name for one in known) or "none"
        raise SettingsError(f"no destination is called {wanted!r}; in the site's tables there are: {names}")
    return found


def _collector(desk: Ledger, settings: Settings) -> Collector:
    files = ObjectStore(settings.store.data, role="command-")
    judge = Verdicts(desk, files, ZoneInfo(settings.site.timezone))
    return Collector(desk, files, judge, settings.deliver, settings.receive.ae_title)


def _ask(archive: Destination, reports: Sequence[Reported], collector: Collector, step: Callable[[], None]) -> _Result:
    """Page by page: the reports of one day over one association, so that a long search breaks off late and little."""
    found: list[Found] = []
    try:
        for _, page in groupby(reports, lambda one: one.made_at.date()):
            for _, seen in collector.collect(archive, [one.ours for one in page]):
                found += seen
                step()
    except PeerError as exc:
        return _Result(found, str(exc))
    return _Result(found)


def _tell(archive: Destination, n_studies: int, result: _Result, *, as_json: bool) -> None:
    worth = [one for one in result.found if one.outcome in _WORTH_A_LINE or not one.is_harmless]
    counts = Counter(one.outcome for one in result.found)
    findings = sum(one.count for one in result.found if one.outcome == VERDICT)
    if as_json:
        for one in worth:
            row = {"document": one.document, "outcome": one.outcome, "count": one.count}
            print_row({"row": "document", "destination": archive.name, "study": one.study, **row})
        total = {"studies": n_studies, "outcomes": dict(sorted(counts.items())), "count": findings}
        print_row({"row": "archive", "destination": archive.name, **total, "trouble": result.trouble or None})
        return
    if worth:
        lines = [(one.study, one.document or "-", one.outcome, one.count or "") for one in worth]
        print_table(f"Documents of {archive.name}", ("study", "document", "outcome", "findings"), lines)
    said = ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "nothing"
    sys.stdout.write(f"{archive.name}: {n_studies} studies looked through; {said}; {findings} new findings\n")
    if result.trouble:
        say(f"{archive.name}: {result.trouble}; what was read until then is kept, run the command again")


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """A bar on a terminal, nothing elsewhere."""
    console = Console(stderr=True)
    columns = (TextColumn("studies"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("studies", total=total)
        yield lambda: bar.advance(task)
