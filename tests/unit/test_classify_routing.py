"""The first route that fits names the task; a field that is not set fits everything."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_ai.classify.routing import Difference, Route, route, rows_of, traps
from dicom_ai.instance import Instance
from dicom_ai.site import SiteTables

OBJECT = Instance(
    "1.2", "1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.1.2.1", "1.3", "1.4",
    manufacturer="GE Healthcare", model="LOGIQ E9", body_part="LUNG", procedure_code="US123",
    study_description="Thorax bedside", series_description="LUNG right",
)  # fmt: skip


@pytest.mark.parametrize(
    ("field", "fits", "differs"),
    [
        ("manufacturer", "ge healthcare", "GE"),
        ("model", "LOGIQ E9 ", "LOGIQ"),
        ("body_part", "Lung", "UTERUS"),
        ("procedure_code", "US123", "US12"),
        ("calling_ae", "LOGIQ", "logiq"),
        ("called_ae", "DICOM_AI", "OTHER"),
        ("description_contains", "BEDSIDE", "uterus"),
        ("description_contains", "lung RIGHT", "left"),
    ],
)
def test_a_field_that_is_set_must_fit(field: str, fits: str, differs: str) -> None:
    for value, expected in ((fits, "lung-signs"), (differs, None)):
        row = dataclasses.replace(Route("lung-signs"), **{field: value})
        assert route(OBJECT, "LOGIQ", "DICOM_AI", [row]) == expected


def test_every_field_that_is_set_must_fit() -> None:
    row = Route("lung-signs", model="LOGIQ E9", body_part="UTERUS")
    assert route(OBJECT, "LOGIQ", "DICOM_AI", [row]) is None


def test_the_first_row_that_fits_wins() -> None:
    rows = [
        Route("uterine-lesions", body_part="UTERUS"),
        Route("lung-signs", body_part="LUNG"),
        Route("uterine-lesions"),
    ]
    assert route(OBJECT, "A", "B", rows) == "lung-signs"


def test_a_row_without_fields_fits_everything() -> None:
    assert route(OBJECT, "", "", [Route("lung-signs")]) == "lung-signs"


def test_no_row_means_no_task() -> None:
    assert route(OBJECT, "LOGIQ", "DICOM_AI", []) is None


def test_an_empty_field_fits_only_an_absent_attribute() -> None:
    row = Route("lung-signs", body_part="")
    assert route(OBJECT, "", "", [row]) is None
    assert route(dataclasses.replace(OBJECT, body_part=""), "", "", [row]) == "lung-signs"


def test_what_does_not_fit_is_named_with_both_values_but_the_description() -> None:
    row = Route("lung-signs", model="LOGIQ E10", body_part="LUNG", calling_ae="logiq", description_contains="uterus")
    assert row.differences(OBJECT, "LOGIQ", "DICOM_AI") == (
        Difference("model", "LOGIQ E10", "LOGIQ E9"),
        Difference("calling_ae", "logiq", "LOGIQ"),
        Difference("description_contains", "uterus", None),
    )


def test_an_empty_field_of_the_site_file_is_no_condition_and_spaces_are_empty() -> None:
    tables = SiteTables.model_validate({"routes": [{"task": "lung-signs", "model": "  ", "body_part": " LUNG "}]})
    assert rows_of(tables) == (Route("lung-signs", body_part="LUNG"),)


def test_a_row_that_takes_everything_and_rows_that_are_never_reached_are_told() -> None:
    rows = [
        Route("lung-signs", description_contains="lung"),
        Route("lung-signs", description_contains="LUNG right", model="x"),  # whatever it matches, row 1 took
        Route("uterine-lesions", model="x"),
        Route("uterine-lesions"),
        Route("lung-signs", body_part="LUNG"),
    ]
    assert traps(rows) == (
        "row 2 (lung-signs) is never reached: row 1 takes everything it would match",
        "row 4 (uterine-lesions) states no field and matches every ultrasound object",
        "row 5 (lung-signs) is never reached: row 4 takes everything it would match",
    )
    assert traps(rows[:1] + rows[2:3]) == ()


WORDS = st.sampled_from([None, "", "a", "A", "ab", "b a"])
ROWS = st.builds(
    Route,
    task=st.just("lung-signs"),
    **dict.fromkeys(("model", "body_part", "calling_ae", "description_contains"), WORDS),
)
OBJECTS = st.builds(
    dataclasses.replace,
    st.just(OBJECT),
    **{name: st.sampled_from(["", "a", "A ", "ab", "c B A"]) for name in ("model", "body_part", "study_description")},
)


@given(rows=st.lists(ROWS, max_size=5), instance=OBJECTS, calling=st.sampled_from(["", "a", "A"]))
def test_a_row_called_unreachable_never_takes_an_object(rows: list[Route], instance: Instance, calling: str) -> None:
    first = next((n for n, row in enumerate(rows, start=1) if row.matches(instance, calling, "")), None)
    assert not any(trap.startswith(f"row {first} ") and "never reached" in trap for trap in traps(rows))
