"""An object comes into the set only whole, of the study and patient that were asked for, and of the wanted kind."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from dicom_ai.archive.filters import Filters, accessions_in
from dicom_ai.archive.judged import WORDS, Meant, read_whole, refusal
from dicom_ai.report.header import part10
from tests.pulled import SCANNERS, study

ALL = Filters(date(2025, 1, 1), date(2025, 12, 31))


def meant(ds: Dataset, **changes: object) -> Meant:
    patient = str(ds.PatientID)
    images = {str(ds.SOPInstanceUID): (str(ds.SeriesInstanceUID), str(ds.SOPClassUID))}
    return replace(Meant(str(ds.StudyInstanceUID), lambda said: said == patient, images, ALL), **changes)


def word(folder: Path, ds: Dataset, asked: Meant, said: str = "") -> str:
    (folder / "one").write_bytes(part10(ds))
    return refusal(folder / "one", asked, said)[1]


@pytest.mark.parametrize("scanner", SCANNERS)
def test_a_whole_object_passes_and_every_beginning_of_it_does_not(tmp_path: Path, scanner: str) -> None:
    for ds in study(3, 2, scanner=scanner, clip=True):
        asked, content = meant(ds), part10(ds)
        assert word(tmp_path, ds, asked) == ""
        step = max(1, len(content) // 60)
        for length in {*range(0, len(content), step), *range(len(content) - 12, len(content))}:
            (tmp_path / "cut").write_bytes(content[:length])
            assert refusal(tmp_path / "cut", asked)[1] in {"truncated", "unreadable", "sop_mismatch", "other_study",
                                                           "other_series", "other_patient", "not_wanted"}  # fmt: skip


def test_pixels_that_are_fewer_than_the_header_says_are_seen(tmp_path: Path) -> None:
    (ds, _) = study(1, 1)
    asked = meant(ds)
    ds.PixelData = ds.PixelData[: len(ds.PixelData) // 2]
    assert word(tmp_path, ds, asked) == "truncated"
    del ds.PixelData
    assert word(tmp_path, ds, asked) == "truncated"


def of(keyword: str, value: object) -> Callable[[Dataset], None]:
    return lambda ds: setattr(ds, keyword, value)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (of("PatientID", "SOMEBODY"), "other_patient"),
        (of("PatientID", ""), "other_patient"),
        (of("StudyInstanceUID", "1.2.3"), "other_study"),
        (of("SeriesInstanceUID", "1.2.3"), "other_series"),
        (of("SOPInstanceUID", "1.2.3"), "not_asked"),
        (of("SOPClassUID", "1.2.840.10008.5.1.4.1.1.3.1"), "sop_mismatch"),
        (of("StudyDate", "20240101"), "other_date"),
        (of("Modality", "CT"), "not_wanted"),
    ],
)
def test_another_object_is_refused(tmp_path: Path, change: Callable[[Dataset], None], expected: str) -> None:
    ds = study(1, 1)[0]
    asked = meant(ds)
    change(ds)
    assert word(tmp_path, ds, asked) == expected


def test_an_object_that_the_message_calls_otherwise_is_refused(tmp_path: Path) -> None:
    ds = study(1, 1)[0]
    assert word(tmp_path, ds, meant(ds), "1.2.3") == "sop_mismatch"
    assert word(tmp_path, ds, meant(ds), str(ds.SOPInstanceUID)) == ""


def test_a_deflated_object_is_not_unfolded(tmp_path: Path) -> None:
    ds = study(1, 1)[0]
    asked, content = meant(ds), part10(ds)
    assert content.count(b"1.2.840.10008.1.2.1\0") == 1
    swapped = content.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99", 1)
    length = swapped.index(b"1.2.840.10008.1.2.1.99") - 2
    (tmp_path / "one").write_bytes(swapped[:length] + (22).to_bytes(2, "little") + swapped[length + 2 :])
    assert refusal(tmp_path / "one", asked)[1] == "deflated"


def test_a_file_that_is_no_dicom_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"\0" * 500)
    assert refusal(tmp_path / "one", meant(study(1, 1)[0])) == ("", "unreadable")


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"])
def test_whole_is_whole_in_every_encoding_of_headers(tmp_path: Path, syntax: str) -> None:
    ds = study(1, 1)[0]
    ds.file_meta.TransferSyntaxUID = syntax
    is_little, is_implicit = not syntax.endswith("1.2.2"), syntax.endswith("1.2")
    ds.save_as(tmp_path / "one", enforce_file_format=True, little_endian=is_little, implicit_vr=is_implicit)
    assert read_whole(tmp_path / "one")[1]
    (tmp_path / "one").write_bytes((tmp_path / "one").read_bytes()[:-3])
    assert not read_whole(tmp_path / "one")[1]


@pytest.mark.parametrize(
    ("filters", "is_wanted"),
    [
        ({"device": "ge*logiqe9"}, True),
        ({"device": "Philips*"}, False),
        ({"station": "LOGIQE9-?"}, True),
        ({"station": "LOGIQE9-2"}, False),
        ({"description": "*lung*"}, True),
        ({"description": "uterus"}, False),
        ({"device": "[g]e*"}, False),
    ],
)
def test_patterns(tmp_path: Path, filters: dict[str, str], is_wanted: bool) -> None:
    ds = study(1, 1)[0]
    asked = meant(ds, filters=replace(ALL, **filters))
    assert word(tmp_path, ds, asked) == ("" if is_wanted else "not_wanted")


def test_an_object_that_does_not_say_what_was_asked_is_not_wanted(tmp_path: Path) -> None:
    ds = study(1, 1)[0]
    del ds.StationName
    assert word(tmp_path, ds, meant(ds, filters=replace(ALL, station="LOGIQE9-*"))) == "not_wanted"


def test_another_accession_number_is_refused(tmp_path: Path) -> None:
    ds = study(1, 1)[0]
    assert word(tmp_path, ds, meant(ds, filters=Filters(accessions=("ACC00001",)))) == ""
    assert word(tmp_path, ds, meant(ds, filters=Filters(accessions=("ACC00002",)))) == "other_accession"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A1\nA2\nA1\n", ("A1", "A2")),
        ("accession,label\nA1,x\n A2 ,y\n", ("A1", "A2")),
        ("label,AccessionNumber\nx,A1\n", ("A1",)),
        ("\ufeffaccession\nA1\n\n", ("A1",)),
    ],
)
def test_accession_lists(tmp_path: Path, text: str, found: tuple[str, ...]) -> None:
    (tmp_path / "list.csv").write_text(text, encoding="utf-8")
    assert accessions_in(tmp_path / "list.csv") == found


@pytest.mark.parametrize("text", ["", "accession\n", "a,b\n1,2\n", "accession\nA*\n", "accession\n" + "A" * 17 + "\n"])
def test_lists_that_cannot_be_asked(tmp_path: Path, text: str) -> None:
    (tmp_path / "list.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"list\.csv") as raised:
        accessions_in(tmp_path / "list.csv")
    assert "A*" not in str(raised.value)
    assert "AAAA" not in str(raised.value)


@pytest.mark.parametrize(
    "words", [{}, {"since": date(2025, 1, 1)}, {"since": date(2025, 1, 2), "until": date(2025, 1, 1)}]
)
def test_filters_that_ask_for_everything_or_nothing(words: dict[str, date]) -> None:
    with pytest.raises(ValueError, match="day"):
        Filters(**words)


def test_every_word_has_a_meaning() -> None:
    assert all(meaning and meaning[0].isupper() for meaning in WORDS.values())
