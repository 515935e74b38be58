"""An independent implementation of PS3.15 Annex E removes nothing from an exported object, and the published page is
the list in force.

The table is that of the Standard's edition 2026c as dicom-anonymizer ships it.
"""

from copy import deepcopy
from io import BytesIO
from pathlib import Path

import pytest
from dicomanonymizer.simpledicomanonymizer import anonymize_dataset, initialize_actions
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from dicom_ai.crop.export.attributes import CODES, LISTED, MAIN, META, REGION, REPLACED, Attribute
from dicom_ai.crop.export.build import build
from tests.exports import SITE, pixels, plain, source

PAGE = Path(__file__).parents[2] / "deploy" / "deidentification.md"


def table():
    return initialize_actions("dicomfields_2026c")


def through_the_table(ds: Dataset) -> tuple[set[str], set[str]]:
    """Keywords that the table removes from a data set and its file meta information, and those it changes."""
    after = deepcopy(ds)
    anonymize_dataset(after, base_rules_gen=table)
    removed, changed = set(), set()
    for before, now in ((ds, after), (ds.file_meta, after.file_meta)):
        for element in before:
            if element.tag not in now:
                removed.add(element.keyword)
            elif now[element.tag] != element:
                changed.add(element.keyword)
    return removed, changed


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_table_removes_nothing_and_changes_only_what_is_replaced(frames, channels):
    header = source(
        frames, LossyImageCompression="01", LossyImageCompressionRatio="8", LossyImageCompressionMethod="ISO_10918_1",
        UltrasoundColorDataPresent=0, PatientAge="063Y",
    )  # fmt: skip
    removed, changed = through_the_table(dcmread(BytesIO(build(header, pixels(frames, channels), SITE))))
    assert removed == set()
    assert changed <= REPLACED
    assert {"PatientID", "StudyInstanceUID", "SOPInstanceUID", "StudyDate"} <= changed


def test_the_table_removes_much_from_a_source():
    removed, changed = through_the_table(plain())
    assert {"PatientAge", "InstitutionName", "OperatorsName", "DeviceSerialNumber"} <= removed | changed


def test_nothing_that_the_table_knows_is_kept_as_it_is():
    known = {Tag(tag[0], tag[1]) for tag in table() if len(tag) == 2}
    kept = {one.keyword for one in (*META, *MAIN, *REGION) if Tag(one.tag) in known}
    assert kept <= REPLACED


def row(attribute: Attribute) -> str:
    """The line of the published page."""
    tag = f"({attribute.tag >> 16:04X},{attribute.tag & 0xFFFF:04X})"
    return f"| {tag} | {attribute.keyword} | {attribute.vr} | {said(attribute)} |"


def said(attribute: Attribute) -> str:
    if attribute.how == "number":
        return f"number of the source, {attribute.least:g} to {attribute.most:g}, else absent or empty"
    if attribute.how == "constant":
        return f"always `{attribute.values[0]}`".replace("\x00\x01", "00 01")
    if attribute.how == "closed" and len(attribute.values) > 10:
        return "word of the source if it is in the list below, else absent"
    if attribute.how == "closed":
        return "one of " + ", ".join(f"`{value}`" if value else "empty" for value in attribute.values)
    return {
        "keyed": "**replaced**: keyed hash",
        "shifted": "**replaced**: moved back by the patient's shift",
        "empty": "**replaced**: empty",
        "device": "as the published layout catalogue writes it, else keyed hash",
        "computed": "computed from the kept pixels",
        "items": "items of the table below",
    }[attribute.how]


def test_the_published_page_is_the_list_in_force():
    page = PAGE.read_text(encoding="utf-8").splitlines()
    code = LISTED[Tag("DeidentificationMethodCodeSequence")].items
    expected = [row(one) for one in (*META, *MAIN, *REGION, *code)]
    assert [line for line in page if line.startswith("| (")] == expected
    text = "\n".join(page)
    for value, meaning in CODES:
        assert f"{value} {meaning}" in text
    for word in LISTED[Tag("BodyPartExamined")].values:
        assert word in text
