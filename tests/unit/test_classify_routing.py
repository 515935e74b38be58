"""The first route that fits names the task; a field that is not set fits everything."""

import dataclasses

import pytest

from dicom_ai.classify.routing import Route, route
from dicom_ai.instance import Instance

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
