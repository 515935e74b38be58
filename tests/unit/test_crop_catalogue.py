"""The layout catalogue: which entry is for which device, and that the shipped ones hold water."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from dicom_ai.crop.catalogue import Layout, layout_of, layouts_of, published
from dicom_ai.kept import mask_of
from dicom_ai.simulate.device import devices
from dicom_ai.simulate.screen import layouts

KEEP = (((10.0, 10.0), (90.0, 10.0), (90.0, 90.0), (10.0, 90.0)),)
words = st.text(st.characters(categories=("Lu", "Ll", "Nd")), min_size=1, max_size=8).filter(
    lambda text: text.casefold() == text.casefold().upper().casefold()  # not so for a few letters, as the long s
)


def entry(**changes):
    values = {"name": "L1", "manufacturer": "Maker Inc", "model": "Model 7", "software": None, "rows": 100}
    return Layout(**(values | {"columns": 120, "keep": KEEP, "status": "approved"} | changes))


def header(maker="Maker Inc", model="Model 7", software=None, rows=100, columns=120):
    ds = Dataset()
    ds.Manufacturer, ds.ManufacturerModelName, ds.Rows, ds.Columns = maker, model, rows, columns
    if software is not None:
        ds.SoftwareVersions = software
    return ds


@given(words, words, st.sampled_from([str.upper, str.lower, str.title]), st.sampled_from(["", " ", "\0", "  \0", "\t"]))
def test_case_and_padding_tell_no_two_devices_apart(maker, model, case, padding):
    known = entry(manufacturer=f"{maker} {model}", model=model)
    stated = case(f"{maker}  {model}")
    if stated.casefold() == f"{maker}  {model}".casefold():
        assert known.is_for(header(padding + stated + padding, case(model) + padding))
    assert not known.is_for(header(f"{maker}{model}", model))
    assert not known.is_for(header(f"{maker} {model}", model + "x"))
    assert not known.is_for(header(f"{maker} {model} x", model))


@given(st.lists(words, min_size=1, max_size=4, unique_by=str.casefold), st.data())
def test_an_entry_of_a_software_is_for_those_that_state_all_of_it(versions, data):
    some = data.draw(st.lists(st.sampled_from(versions), min_size=1, unique=True))
    known = entry(software="\\".join(some))
    assert known.is_for(header(software=versions))
    assert known.is_for(header(software=" \\".join(versions)))
    rest = [one for one in versions if one != some[0]]
    assert not known.is_for(header(software=rest or None))
    assert not known.is_for(header())
    assert entry().is_for(header(software=versions))


def test_rows_and_columns_are_equal():
    assert not entry().is_for(header(rows=101))
    assert not entry().is_for(header(columns=119))
    ds = header()
    del ds.Rows
    assert not entry().is_for(ds)


def test_an_object_that_names_no_device_has_no_entry():
    assert not entry(manufacturer="", model="").is_for(header("", ""))
    assert not entry(manufacturer=" ", model="\0").is_for(header(" ", "\0\0"))
    assert entry(manufacturer="").is_for(header(""))


def test_approved_comes_before_published_and_the_latest_before_others():
    ds = header("GE Healthcare", "LOGIQE9", rows=873, columns=1164)
    first = layout_of(ds, ())
    assert first is not None
    assert first.status == "published"
    mine = [
        entry(name=name, manufacturer="GE Healthcare", model="LOGIQE9", rows=873, columns=1164) for name in ("L9", "L2")
    ]
    assert layouts_of(ds, mine) == tuple(mine)
    assert layout_of(ds, mine) == mine[0]
    assert layout_of(ds, [entry(), mine[1]]) == mine[1]
    assert layout_of(header(), ()) is None


@pytest.mark.parametrize("maker", ["GE", "GE Healthcare", "ge medical systems", "GE Vingmed Ultrasound", "GE\0"])
def test_makers_write_themselves_in_several_ways(maker):
    assert layout_of(header(maker, "LOGIQE9", rows=873, columns=1164), ()) is not None


@pytest.mark.parametrize("maker", ["", "Gerat", "GEHC", "Philips"])
def test_another_maker_of_a_model_of_this_name_has_no_entry(maker):
    assert layout_of(header(maker, "LOGIQE9", rows=873, columns=1164), ()) is None


def test_an_entry_survives_being_written_as_json():
    for one in (*published(), entry(software="1.0\\2.0")):
        assert Layout.of(one.row()) == one


def test_shipped_polygons_lie_in_their_frames_and_leave_a_header_out():
    assert len(published()) >= 30
    for one in published():
        for x, y in (point for polygon in one.keep for point in polygon):
            assert 0 <= x <= one.columns, one.name
            assert 0 <= y <= one.rows, one.name
        mask = mask_of(one.keep, one.rows, one.columns)
        assert not mask[:16].any(), one.name
        assert mask.mean() > 0.7, one.name


def test_shipped_entries_are_told_apart():
    keys = [(one.manufacturer.casefold(), one.model.casefold(), one.rows, one.columns) for one in published()]
    assert len(keys) == len(set(keys))
    assert len({one.name for one in published()}) == len(published())
    assert not [one.name for one in published() if re.fullmatch(r"L\d+", one.name)]  # names of entries by people


def test_no_simulated_picture_is_cut_by_a_shipped_entry():
    """The published bands lie outside of every place in which a simulated scanner of that maker draws a sector."""
    bound = 0
    for device in devices().values():
        for name in {device.still, device.clip}:
            screen = layouts()[name]
            found = layout_of(header(device.manufacturer, device.model, rows=screen.rows, columns=screen.columns), ())
            if found is None:
                continue
            bound += 1
            x, y, width, height = screen.picture
            drawn = mask_of(
                [((x, y), (x + width, y), (x + width, y + height), (x, y + height))], found.rows, found.columns
            )
            assert not (drawn & ~mask_of(found.keep, found.rows, found.columns)).any(), name
    assert bound >= 4
