"""Studies pulled from an archive into a folder: which there are, what each holds, then the objects, study by study.

Everything may be broken off anywhere and run again: the plan in the folder knows what is there. What this is not: the
messages (`archive`), the judgement of what arrives (`pulling_intake`), or where it comes from (`pulling_from`).
"""

from collections.abc import Callable
from typing import Any

from dicom_ai.archive.contents import Series, contents
from dicom_ai.archive.filters import Filters
from dicom_ai.archive.pace import Pace
from dicom_ai.archive.pages import studies
from dicom_ai.archive.source import Source
from dicom_ai.errors import PeerError, PeerFailed, PeerRefused
from dicom_ai.pulling_intake import Intake

ATTEMPTS = 3
"""Times a study is begun in one run before it is left for the next one."""

MOST_MISSES = 3
"""Studies in a row that may fail before the archive is left alone."""

_PAUSE_S = 2.0


class Puller:
    """Pulls from one archive. Every method may be repeated."""

    def __init__(self, source: Source, intake: Intake, filters: Filters, pace: Pace) -> None:
        """Take the parts; nothing is asked yet."""
        self._source, self._intake, self._filters, self._pace = source, intake, filters, pace
        self.plan = intake.plan

    def list_studies(self) -> None:
        """Ask which studies there are, unless an earlier run did.

        Raises:
            PeerError: the archive cannot be asked; nothing is written down then.
        """
        if self.plan.is_listed:
            return
        self._wait()
        refused: list[tuple[str, str]] = []
        found = studies(self._source, self._filters, refused)
        self.plan.list_studies(found.values(), refused)

    def study(self, uid: str) -> None:
        """Pull what is wanted of one study.

        Raises:
            PeerError: the archive broke off or failed; what came until then is kept.
            ResourceError: the folder is full or cannot be written.
        """
        self._wait()
        if self.plan.state(uid) == "listed":
            held = contents(self._source, uid, self._filters)
            self.plan.open(uid, held.series, held.beside, held.refused)
        for series in self.plan.wanted(uid):
            self._intake.expect(uid)
            try:
                self._series(series)
            finally:
                judged = frozenset(self._intake.judged)
                self._intake.expect("")
            for left in self._still(series, judged).images:
                self.plan.leave(left, "not_sent", is_final=False)
        self.plan.close_study(uid)

    def pause(self, seconds: float) -> None:
        """Give an archive that failed some time, and call it anew afterwards."""
        self._source.rest()
        self._pace.sleep(seconds)

    def _series(self, series: Series) -> None:
        """As a whole where it may be, then what did not come, one by one."""
        is_single = self._pace.is_slow or not series.is_all
        for one_by_one in (False, True) if not is_single else (True,):
            self._wait()
            left = self._still(series, frozenset(self._intake.judged))
            if not left.images:
                return
            try:
                self._source.fetch(left, self._intake.content, one_by_one=one_by_one)
            except PeerFailed:  # of this request; what did not come is asked for again, or listed as missing
                continue

    def _still(self, series: Series, judged: frozenset[str]) -> Series:
        """What is wanted of a series and was not even judged."""
        found = [one for one in self.plan.wanted(series.study) if one.uid == series.uid]
        images = {uid: kind for one in found for uid, kind in one.images.items() if uid not in judged}
        return Series(series.study, series.uid, images, series.is_all and len(images) == len(series.images))

    def _wait(self) -> None:
        if self._pace.is_closed:
            self._source.rest()  # no archive keeps an association through the day
        self._pace.wait()


def pull(puller: Puller, tell: Callable[[dict[str, Any]], None]) -> None:
    """List, then pull every study; again does no harm.

    Args:
        puller: of one archive and one folder.
        tell: gets the plan's counts after every study.

    Raises:
        PeerError: the archive refuses, or fails again and again; what came until then is kept.
        ResourceError: the folder is full or cannot be written.
    """
    puller.list_studies()
    tell(puller.plan.counts())
    misses, last = 0, None
    for uid in puller.plan.todo():
        failed = _attempt(puller, uid)
        misses, last = misses + 1 if failed else 0, failed or last
        if failed and (isinstance(failed, PeerRefused) or misses >= MOST_MISSES):
            raise failed
        tell(puller.plan.counts())
    if last is not None:
        raise last


def _attempt(puller: Puller, uid: str) -> PeerError | None:
    failed: PeerError | None = None
    for attempt in range(ATTEMPTS):
        try:
            puller.study(uid)
        except PeerRefused as exc:
            return exc
        except PeerError as exc:
            failed = exc
            puller.pause(_PAUSE_S * (attempt + 1))
        else:
            return None
    return failed
