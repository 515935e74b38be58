"""`kill -9` at every named point of the way: nothing acknowledged is lost, nothing is doubled, no job is stuck.

The default run hits every point once on SQLite; `make verify` five times on SQLite and on PostgreSQL.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import pytest

from dicom_ai.points import POINTS
from dicom_ai.simulate.exam import Exam
from tests.e2e import promises
from tests.e2e.kill_points import Armed, recovery
from tests.e2e.pacs import Simulated
from tests.e2e.scanner import LUNG, studies

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(280)]

# Points of receiving and of working in turn: while one role comes back, the other is hit. The work process also passes
# the two points of the store, when it keeps a capture or a report; it may be the first there.
IN_TURN = (
    ("after-fsync", "receive"),
    ("before-send", "work"),
    ("after-rename", "receive"),
    ("mid-send", "work"),
    ("before-commit", "receive"),
    ("after-answer", "work"),
    ("after-commit", "receive"),
    ("after-inference", "work"),
)
OF_THE_STORE = ("after-fsync", "after-rename")


def go_through(armed: Armed, pacs: Simulated, exams: Iterator[Exam], *, rounds: int, limit_s: float) -> None:
    """Hit every point `rounds` times, each with a study of its own; then compare what everybody holds."""
    one = armed.service
    try:
        one.apply(pacs.target())
        one.start()
        for _ in range(rounds):
            for point, role in IN_TURN:
                armed.hit(point, role, next(exams))
        armed.finish(limit_s)
        promises.check(one, armed.acknowledged, pacs.received())
        pacs.check_repeats()
        check_hits(armed, rounds)
        assert one.stop() == 0
        promises.check_nothing_is_left(one)
    finally:
        one.close()


def check_hits(armed: Armed, rounds: int) -> None:
    """Fail unless every point was hit as often as it should, in the role where it stands, and nobody else died."""
    assert Counter(hit.point for hit in armed.hits) == dict.fromkeys(POINTS, rounds)
    assert [death["exit_code"] for death in armed.deaths()] == [-9] * len(armed.hits)
    wrong = [hit for hit in armed.hits if hit.point not in OF_THE_STORE and (hit.point, hit.role) not in IN_TURN]
    assert not wrong, f"a point stands in another role than it says: {wrong}"
    said = {status for scanner in armed.scanners for status in scanner.statuses}
    assert said <= {"0x0000", "lost", "PeerUnreachable"}, f"a scanner was told something else: {said}"


def test_a_kill_at_every_point_loses_and_doubles_nothing(tmp_path: Path) -> None:
    assert sorted(point for point, _ in IN_TURN) == sorted(POINTS)
    quiet = {"DICOM_AI_STORE__SETTLE_QUIET_S": "5", "DICOM_AI_STORE__SETTLE_LATE_QUIET_S": "10"}
    # two stills where receiving is hit: the second one never came to its turn; one where a delivery is hit, for time
    exams = (
        exam if role == "receive" else Exam(exam.objects[:1], {})
        for exam, (_, role) in zip(studies(len(POINTS), content=LUNG), IN_TURN, strict=True)
    )
    with Simulated(tmp_path / "pacs") as pacs:
        armed = Armed(tmp_path, **quiet)
        go_through(armed, pacs, exams, rounds=1, limit_s=120)


@pytest.mark.verify
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("database", ["SQLite", "PostgreSQL"])
def test_five_kills_at_every_point_lose_and_double_nothing(
    tmp_path: Path, database: str, request: pytest.FixtureRequest, figure: Callable[[str, str, str], None]
) -> None:
    # the supervisor waits up to 5 s before it starts a role again that dies every few seconds
    quiet = {"DICOM_AI_STORE__SETTLE_QUIET_S": "15", "DICOM_AI_STORE__SETTLE_LATE_QUIET_S": "20"}
    url = request.getfixturevalue("postgresql_url") if database == "PostgreSQL" else ""
    with Simulated(tmp_path / "pacs") as pacs:
        armed = Armed(tmp_path, database_url=url, **quiet)
        go_through(armed, pacs, iter(studies(5 * len(POINTS), content=LUNG)), rounds=5, limit_s=600)
    n_of = Counter(hit.point for hit in armed.hits)
    hits = ", ".join(f"{point} {n_of[point]}" for point in POINTS)
    n_objects, n_repeats = len(armed.acknowledged), sum(scanner.repeats for scanner in armed.scanners)
    said = f"0 lost, 0 doubled of {n_objects} objects in {5 * len(POINTS)} studies, {n_repeats} repeats ({hits})"
    figure(f"kill -9 at eight points, {database}", said, "0 lost, 0 doubled, five hits each")
    for role, until, bar in (("receive", "listens", "< 10 s"), ("work", "has completed a step", "< 30 s")):
        back = recovery(armed.hits, role)
        text = f"median {median(back):.1f} s, longest {back[-1]:.1f} s ({len(back)} kills; up to 5 s are a pause)"
        figure(f"from the kill of {role} until it {until} again, {database}", text, bar)
