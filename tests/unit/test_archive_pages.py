"""Every study is found whatever an archive cuts off, and an answer outside of the question is never followed."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from dicom_ai.archive import pages
from dicom_ai.archive.answers import contradiction, is_within, keys, text
from dicom_ai.archive.contents import contents
from dicom_ai.archive.filters import Filters
from dicom_ai.archive.pages import Window, studies
from dicom_ai.errors import After, PeerFailed

YEAR = Filters(date(2025, 1, 1), date(2025, 12, 31))
BEGIN = datetime(2025, 1, 1)  # noqa: DTZ001 - as archives write it


def listed(number: int, at: datetime, **changes: str) -> Dataset:
    return keys(
        "STUDY", f"1.2.{number}", PatientID=f"P{number % 7}", StudyDate=f"{at:%Y%m%d}", StudyTime=f"{at:%H%M%S}",
        AccessionNumber=f"A{number}", **changes,
    )  # fmt: skip


def unchecked(uid: str) -> Dataset:
    """An answer with a UID that the library would warn of."""
    answer = keys("STUDY", PatientID="P", StudyDate="20250105")
    answer["StudyInstanceUID"] = DataElement("StudyInstanceUID", "UI", uid, already_converted=True)
    return answer


class Capped:
    """An archive that ends its answers after `most`, without a word or with a failure."""

    def __init__(self, holds: list[Dataset], most: int, *, is_honest: bool = False) -> None:
        self.holds, self.most, self.is_honest, self.asked = holds, most, is_honest, 0

    def find(self, asked: Dataset) -> Iterator[Dataset]:
        self.asked += 1
        found = [one for one in self.holds if not contradiction(asked, one)]
        yield from found[: self.most]
        if self.is_honest and len(found) > self.most:
            raise PeerFailed(0xA700, After.RETRY)


@settings(max_examples=25)
@given(st.lists(st.integers(0, 365 * 24 * 60 - 1), max_size=30), st.integers(6, 12), st.booleans(), st.integers(0, 30))
def test_a_capped_archive_gives_every_study(minutes: list[int], most: int, is_honest: bool, crowd: int) -> None:
    at = [BEGIN + timedelta(minutes=one) for one in minutes]
    at += [BEGIN + timedelta(days=40, minutes=number) for number in range(crowd)]  # one busy day
    archive = Capped([listed(number, one) for number, one in enumerate(at)], most, is_honest=is_honest)
    some = patch.object(pages, "SUSPECT", 6)  # few, so that there is time for many examples
    minute = max((sum(abs((a - b).total_seconds()) < 60 for b in at) for a in set(at)), default=0)
    if minute < most:
        with some:
            assert set(studies(archive, YEAR, [])) == {f"1.2.{number}" for number in range(len(at))}


def test_more_in_one_minute_than_an_archive_tells_is_no_silent_loss() -> None:
    archive = Capped([listed(number, BEGIN) for number in range(80)], 60, is_honest=True)
    with pytest.raises(PeerFailed):
        studies(archive, YEAR, [])


@given(st.integers(0, 400), st.integers(1, 400))
def test_halves_cover_a_window_and_do_not_overlap(first: int, days: int) -> None:
    begin = BEGIN + timedelta(days=first)
    todo = [Window(begin, begin + timedelta(days=days) - timedelta(minutes=1))]
    for _ in range(12):
        window = todo.pop()
        halves = window.halves()
        if not halves:
            return
        assert halves[0].first == window.first
        assert halves[-1].last == window.last
        assert halves[0].last + timedelta(minutes=1) == halves[1].first
        todo += halves


def test_a_study_without_a_time_on_a_busy_day_is_found() -> None:
    """It fits no range of times (PS3.4 C.2.2.2.5); the question about the whole day brought it."""
    timeless = keys("STUDY", "1.2.9999", PatientID="P", StudyDate="20250210")
    archive = Capped([timeless, *(listed(n, BEGIN + timedelta(days=40, minutes=n)) for n in range(60))], 1000)
    assert "1.2.9999" in studies(archive, YEAR, [])


class Says:
    """An archive that says this whatever it is asked."""

    def __init__(self, *answers: Dataset) -> None:
        self.answers = answers

    def find(self, asked: Dataset) -> Iterator[Dataset]:
        return iter(self.answers)


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (listed(1, datetime(2024, 5, 1)), "other_date"),  # noqa: DTZ001
        (keys("SERIES", "1.2.3", PatientID="P"), "other_level"),
        (unchecked("1.02.3"), "no_uid"),
        (unchecked("../../x"), "no_uid"),
        (keys("STUDY", "", PatientID="P", StudyDate="20250105"), "no_uid"),
    ],
)
def test_an_answer_outside_of_the_question_is_refused(answer: Dataset, word: str) -> None:
    refused: list[tuple[str, str]] = []
    assert studies(Says(answer), Filters(date(2025, 1, 1), date(2025, 1, 16)), refused) == {}
    assert [one for _, one in refused] == [word]


def test_an_archive_that_passes_over_the_accession_number_is_caught() -> None:
    refused: list[tuple[str, str]] = []
    archive = Says(listed(1, BEGIN), listed(2, BEGIN))
    assert set(studies(archive, Filters(accessions=("A1",)), refused)) == {"1.2.1"}
    assert refused == [("1.2.2", "other_accession")]


def test_a_study_of_two_patients_is_nobodys() -> None:
    again = listed(1, BEGIN)
    again.PatientID = "another"
    assert not studies(Says(listed(1, BEGIN), again), YEAR, [])["1.2.1"].is_one


@pytest.mark.parametrize(("modalities", "is_wanted"), [(["US", "SR"], True), (["CT"], False), (None, True)])
def test_a_study_that_may_hold_ultrasound_is_wanted(modalities: list[str] | None, is_wanted: bool) -> None:
    one = listed(1, BEGIN)
    if modalities is not None:
        one.ModalitiesInStudy = modalities
    assert bool(studies(Says(one), YEAR, [])) == is_wanted


class Holds:
    """An archive of one study: answers by level."""

    def __init__(self, series: list[Dataset], images: list[Dataset]) -> None:
        self.answers = {"SERIES": series, "IMAGE": images}

    def find(self, asked: Dataset) -> Iterator[Dataset]:
        return iter(self.answers[str(asked.QueryRetrieveLevel)])


US = "1.2.840.10008.5.1.4.1.1.6.1"


def image(uid: str, study: str = "1.2.3", series: str = "1.2.4", sop_class: str = US) -> Dataset:
    return keys("IMAGE", study, SeriesInstanceUID=series, SOPInstanceUID=uid, SOPClassUID=sop_class)


def test_what_a_study_holds() -> None:
    series = keys("SERIES", "1.2.3", SeriesInstanceUID="1.2.4", Modality="US", NumberOfSeriesRelatedInstances="5")
    images = [image("1.5"), image("1.6", study="1.2.9"), image("1.7", series="1.2.8"), image("1.5"),
              image("1.8", sop_class="1.2.840.10008.5.1.4.1.1.88.33")]  # fmt: skip
    found = contents(Holds([series], images), "1.2.3", YEAR)
    assert [(one.uid, one.images, one.is_all) for one in found.series] == [("1.2.4", {"1.5": US}, False)]
    assert sorted(word for _, word in found.refused) == ["cut_short", "other_series", "other_study", "repeated"]
    assert found.beside == 1


def test_a_series_of_another_modality_is_refused_and_not_looked_into() -> None:
    series = keys("SERIES", "1.2.3", SeriesInstanceUID="1.2.4", Modality="CT")
    found = contents(Holds([series], [image("1.5")]), "1.2.3", YEAR)
    assert (found.series, found.refused) == ([], [("", "other_modality")])


@given(st.times(), st.times())
def test_a_time_lies_in_the_range_of_its_minute_alone(one: object, other: object) -> None:
    window = f"{one:%H%M}00-{one:%H%M}59"
    assert is_within(window, f"{one:%H%M%S.%f}")
    assert is_within(window, f"{other:%H%M%S}") == (f"{one:%H%M}" == f"{other:%H%M}")


def test_a_value_that_cannot_be_read_is_none() -> None:
    class Broken(Dataset):
        def get(self, *_: object) -> object:
            raise ValueError

    assert text(Broken(), "PatientID") == ""
