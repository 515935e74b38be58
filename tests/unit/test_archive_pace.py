"""Hours of the day and rates: never before, never faster; and how both are written."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_ai.archive.pace import LONGEST_PAUSE_S, Hours, Pace, Rate

NOW = datetime(2026, 1, 5, 12)  # noqa: DTZ001 - local time


class Time:
    """A clock that goes on when somebody sleeps."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now, self.naps = now, list[float]()

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += timedelta(seconds=seconds)

    def pace(self, hours: str = "", rate: str = "") -> Pace:
        return Pace(
            Hours.of(hours) if hours else None,
            Rate.of(rate) if rate else None,
            lambda: self.now,
            lambda: timedelta.total_seconds(self.now - NOW),
            self.sleep,
        )


@given(st.datetimes(datetime(2026, 1, 1), datetime(2026, 2, 1)), st.times(), st.times())  # noqa: DTZ001
def test_after_the_wait_it_is_within_the_hours(now: datetime, first: object, last: object) -> None:
    if f"{first:%H:%M}" == f"{last:%H:%M}":
        return
    hours = Hours.of(f"{first:%H:%M}-{last:%H:%M}")
    wait = hours.wait_s(now)
    assert 0 <= wait < 86400
    assert hours.wait_s(now + timedelta(seconds=wait)) == 0
    if wait > 1:
        assert hours.wait_s(now + timedelta(seconds=wait - 1)) > 0


def test_nothing_is_asked_before_the_hours() -> None:
    at = Time()
    pace = at.pace("20:00-06:00")
    assert pace.is_closed
    pace.wait()
    assert at.now == NOW + timedelta(hours=8)
    assert not pace.is_closed


@given(st.lists(st.integers(1, 50_000_000), min_size=2, max_size=30), st.sampled_from(["2/s", "30/min", "4MiB/s"]))
def test_never_faster_than_the_rate(sizes: list[int], rate: str) -> None:
    at, cost = Time(), Rate.of(rate)
    pace = at.pace(rate=rate)
    for size in sizes:
        pace.took(size)
    assert max(at.naps) <= LONGEST_PAUSE_S
    pace.wait()
    took = (at.now - NOW).total_seconds()
    assert took == pytest.approx(sum(cost.cost_s(size) for size in sizes), abs=1e-3)


def test_a_slow_rate_asks_for_objects_one_by_one() -> None:
    assert Time().pace(rate="6/min").is_slow
    assert not Time().pace(rate="5/s").is_slow
    assert not Time().pace().is_slow


@pytest.mark.parametrize("text", ["", "20-06", "24:00-06:00", "20:00-20:00", "20:00", "20:60-06:00"])
def test_what_are_no_hours(text: str) -> None:
    with pytest.raises(ValueError, match="no hours"):
        Hours.of(text)


@pytest.mark.parametrize("text", ["", "5", "0/s", "5/h", "-1/s", "MiB/s", "1e3/s"])
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(ValueError, match="no rate"):
        Rate.of(text)
