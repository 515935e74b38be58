from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_ai.deliver.status import Verdict, is_of_the_form, next_attempt, verdict
from dicom_ai.settings import Deliver

DELIVERED, RETRY, REFUSED = Verdict.DELIVERED, Verdict.RETRY, Verdict.REFUSED

TABLE = {
    0x0000: DELIVERED,  # success
    0x0001: DELIVERED,  # warning of PS3.7 C.4
    0x0105: REFUSED,
    0x0106: REFUSED,
    0x0107: DELIVERED,  # attribute list error, a warning
    0x0110: RETRY,  # processing failure
    0x0111: DELIVERED,  # duplicate SOP instance: it has it
    0x0112: REFUSED,
    0x0116: DELIVERED,  # attribute value out of range, a warning
    0x0117: REFUSED,  # invalid SOP instance
    0x0118: REFUSED,
    0x0122: REFUSED,  # SOP class not supported
    0x0124: REFUSED,  # not authorised
    0x0210: RETRY,  # duplicate invocation
    0x0211: REFUSED,  # unrecognised operation
    0x0212: REFUSED,
    0x0213: RETRY,  # resource limitation
    0xA6FF: REFUSED,
    0xA700: RETRY,  # out of resources
    0xA702: RETRY,
    0xA7FF: RETRY,
    0xA800: REFUSED,
    0xA900: REFUSED,  # data set does not match SOP class
    0xA9FF: REFUSED,
    0xAFFF: REFUSED,
    0xB000: DELIVERED,  # coercion of data elements
    0xB006: DELIVERED,  # elements discarded
    0xB007: DELIVERED,  # data set does not match SOP class, warning
    0xBFFF: DELIVERED,
    0xC000: REFUSED,  # cannot understand
    0xCFFF: REFUSED,
    0xD000: RETRY,  # no status of PS3.7
    0xFE00: RETRY,  # cancel: cannot answer a C-STORE
    0xFF00: RETRY,  # pending: cannot answer a C-STORE
}

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = Deliver()


@pytest.mark.parametrize(("status", "expected"), TABLE.items(), ids=lambda v: f"{v:04X}" if isinstance(v, int) else "")
def test_status_table(status, expected):
    assert verdict(status) is expected


@pytest.mark.parametrize("status", TABLE)
def test_only_a_refusal_of_class_or_data_set_is_a_reason_for_another_form(status):
    expected = status in (0x0118, 0x0122) or 0xA900 <= status <= 0xA9FF or 0xC000 <= status <= 0xCFFF
    assert is_of_the_form(status) is expected
    assert not expected or verdict(status) is REFUSED


@pytest.mark.parametrize(
    ("attempts", "chance", "seconds"),
    [
        (1, 0.0, 2.5),
        (1, 0.5, 3.75),
        (2, 0.0, 5.0),
        (3, 0.0, 10.0),
        (8, 0.0, 320.0),  # 5 s x 2^7 = 640 s
        (9, 0.0, 450.0),  # 1280 s, capped at 900 s
        (500, 0.0, 450.0),
    ],
)
def test_back_off_doubles_up_to_the_cap(attempts, chance, seconds):
    at = next_attempt(attempts, NOW, queued_at=NOW, settings=SETTINGS, chance=chance)
    assert at == NOW + timedelta(seconds=seconds)


@given(
    attempts=st.integers(1, 5000),
    chance=st.floats(0, 1, exclude_max=True),
    age_s=st.floats(0, 8 * 86400),
    first=st.floats(0.1, 60),
    longest=st.floats(60, 3600),
)
def test_next_attempt_is_later_within_the_cap_and_the_retention(attempts, chance, age_s, first, longest):
    settings = Deliver(first_retry_s=first, max_retry_s=longest)
    queued_at = NOW - timedelta(seconds=age_s)
    at = next_attempt(attempts, NOW, queued_at=queued_at, settings=settings, chance=chance)
    end = queued_at + timedelta(hours=settings.retention_h)
    if at is None:
        assert end <= NOW
    else:
        assert NOW < at <= end
        assert at - NOW <= timedelta(seconds=longest)
        assert at == end or at - NOW >= timedelta(seconds=first / 2) - timedelta(microseconds=1)


def test_jitter_spreads_deliveries_that_failed_together():
    times = {next_attempt(4, NOW, queued_at=NOW, settings=SETTINGS, chance=i / 10) for i in range(10)}
    assert len(times) == 10


def test_the_last_attempt_is_at_the_end_of_the_retention_time_and_then_it_is_dead():
    queued_at = NOW - timedelta(hours=SETTINGS.retention_h) + timedelta(seconds=1)
    at = next_attempt(20, NOW, queued_at=queued_at, settings=SETTINGS, chance=0.9)
    assert at == NOW + timedelta(seconds=1)
    assert next_attempt(21, at, queued_at=queued_at, settings=SETTINGS, chance=0.9) is None
