"""Reports and captures as a radiologist sees them in OHIF: the whole way from a drawn study to the screen.

Long: run by `make verify`. Nothing is downloaded; without the viewer's pages the tests are skipped and say how to get
them (`tests/browser/viewer.py`). Screenshots stay in the test's folder, or in that of DICOM_AI_SCREENSHOTS.

Known of OHIF 3.12: a number that is 0 is shown as an empty place before its unit; asked to take the report over as
measurements of one's own it takes none, for it looks for a region under each number and TID 1410 has it in the group.
"""

import itertools
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels import pixel_array

from dicom_ai.report.checklist import items
from tests.browser import studies
from tests.browser.ohif import Ohif, ohif, screenshots
from tests.browser.studies import PART, Study
from tests.browser.viewer import VERSION, dist, pages
from tests.peers import Orthanc, orthanc

NEAR = 6.0
"""Grey levels that a picture on the screen may differ on average from its decoded pixels: it was scaled twice."""

Figure = Callable[[str, str, str], None]

pytestmark = [pytest.mark.verify, pytest.mark.e2e, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Orthanc, str]]:
    dist()
    with orthanc(tmp_path_factory.mktemp("orthanc")) as server, pages(server.http_port) as origin:
        yield server, origin


@pytest.fixture
def viewer(pacs: tuple[Orthanc, str], tmp_path: Path) -> Iterator[Ohif]:
    with ohif(pacs[1], screenshots(tmp_path)) as one:
        yield one
        assert one.errors == []
        assert one.elsewhere == [], "the viewer asks somebody else than the PACS"


def stored(study: Study, server: Orthanc) -> Study:
    for path in study.files:
        request = urllib.request.Request(
            f"http://127.0.0.1:{server.http_port}/instances", data=path.read_bytes(), method="POST"
        )
        urllib.request.urlopen(request, timeout=30).close()
    return study


@pytest.fixture(scope="module")
def stills(pacs: tuple[Orthanc, str], tmp_path_factory: pytest.TempPathFactory) -> Study:
    return stored(studies.stills(tmp_path_factory.mktemp("stills")), pacs[0])


@pytest.fixture(scope="module")
def clip(pacs: tuple[Orthanc, str], tmp_path_factory: pytest.TempPathFactory) -> Study:
    return stored(studies.clip(tmp_path_factory.mktemp("clip")), pacs[0])


def tracking_uid(group: Dataset) -> str:
    return str(items.named(group, items.TRACKING_UID)[0].UID)


def numbers(group: Dataset) -> dict[str, str]:
    """Name of each number -> as OHIF writes it."""
    found = {}
    for item in items.children(group):
        value = items.number(item) if item.get("ValueType") == "NUM" else None
        if value is not None:
            found[str(item.ConceptNameCodeSequence[0].CodeMeaning)] = f"{value:.2f} %" if value else " %"
    return found


def check_listed(viewer: Ohif, study: Study) -> None:
    """The viewer lists every group of the report, with its numbers, on the image and frame it is about."""
    (report,) = (one for one in viewer.sets() if one["modality"] == "SR")
    listed = {one["TrackingUniqueIdentifier"]: one for one in report["measurements"]}
    groups = {tracking_uid(group): group for group in items.groups(study.report)}
    assert len(report["measurements"]) == len(groups)
    assert listed.keys() == groups.keys()
    for uid, group in groups.items():
        one, place = listed[uid], items.place(group)
        assert place is not None
        assert one["TrackingIdentifier"] == items.named(group, items.TRACKING_IDENTIFIER)[0].TextValue
        assert (one["ReferencedSOPInstanceUID"], one["frameNumber"]) == (place.image, place.frame or 1)
        shown = {label["label"]: label["value"] for label in one["labels"]}
        assert numbers(group).items() <= shown.items()


def check_stepped(viewer: Ohif, study: Study, name: str) -> None:
    """The arrow leads from measurement to measurement, each on its frame, with its numbers written over the image."""
    groups = items.groups(study.report)
    places = [items.place(group) for group in groups]
    first = places[0]
    assert first is not None
    viewer.shows(first.image, first.frame or 1)
    # once round and on: the viewer draws what belongs to a frame when it comes to that frame again
    for number, (group, place) in enumerate(zip([*groups[1:], *groups], [*places[1:], *places], strict=True)):
        viewer.step()
        assert place is not None
        viewer.shows(place.image, place.frame or 1)
        if number >= len(groups) - 1:
            at = number - len(groups) + 1
            for wanted in (f"{label}: {value}" for label, value in numbers(group).items()):
                viewer.texts(wanted)
            viewer.photograph(f"{name}-{at}")


def check_drawn(viewer: Ohif, study: Study) -> None:
    """Each region is drawn over the pixels that the report names, in the frame's own coordinates."""
    drawn = {one["uid"]: one for one in viewer.drawn()}
    assert drawn.keys() == {tracking_uid(group) for group in items.groups(study.report)}
    for group in items.groups(study.report):
        place, one = items.place(group), drawn[tracking_uid(group)]
        assert place is not None
        assert one["image"].endswith(f"/instances/{place.image}/frames/{place.frame or 1}")
        points = np.asarray(one["points"])
        wanted = np.asarray(place.points).reshape(-1, 2)
        assert points.shape == wanted.shape
        assert np.abs(points - wanted).max() < 0.51, "half a pixel: its origin is the centre of the first pixel"


def check_shown(viewer: Ohif, ds: Dataset, frame: int) -> None:
    """The viewport holds this frame, fitted into it, in its colours."""
    viewer.shows(str(ds.SOPInstanceUID), frame)
    plugin = "gdcm" if ds.file_meta.TransferSyntaxUID.is_compressed else ""
    wanted = pixel_array(ds, index=frame - 1 if "NumberOfFrames" in ds else None, decoding_plugin=plugin)
    if wanted.ndim == 2:
        wanted = np.repeat(wanted[..., None], 3, axis=2)
    rows, columns = wanted.shape[:2]
    for _ in range(20):
        canvas = viewer.pixels()[..., ::-1]
        scale = min(canvas.shape[0] / rows, canvas.shape[1] / columns)
        height, width = round(rows * scale), round(columns * scale)
        top, left = (canvas.shape[0] - height) // 2, (canvas.shape[1] - width) // 2
        shown = np.ascontiguousarray(canvas[top : top + height, left : left + width])
        fitted = cv2.resize(shown, (columns, rows), interpolation=cv2.INTER_AREA)
        difference = float(np.abs(fitted.astype(int) - wanted).mean())
        if difference < NEAR:
            return
        viewer.page.wait_for_timeout(500)  # drawn a moment after it is current
    raise AssertionError(f"the screen shows something else: {difference:.1f} grey levels away on average")


def check_captures(viewer: Ohif, study: Study, name: str) -> None:
    """Sources and captures show, each in a series of its own kind, picture for picture."""
    known = {str(ds.SOPInstanceUID): ds for ds in (*study.sources, *study.captures)}
    seen: set[str] = set()
    for number, one in enumerate(one for one in viewer.sets() if one["modality"] in ("US", "OT")):
        viewer.open_set(one["id"])
        uid = viewer.shows_one_of(set(known) - seen)
        is_clip = "NumberOfFrames" in known[uid]
        for image in range(1, one["images"] + 1):
            if image > 1:
                viewer.scroll()
            if not is_clip:
                uid = viewer.shows_one_of(set(known) - seen)
            if not is_clip or image in (1, one["images"]):
                check_shown(viewer, known[uid], image if is_clip else 1)
                viewer.photograph(f"{name}-series-{number}-{image}")
            seen.add(uid)
        assert not is_clip or one["images"] == int(known[uid].NumberOfFrames)
    assert seen == set(known)


def note(figure: Figure, what: str, study: Study) -> None:
    groups = len(items.groups(study.report))
    value = f"{groups} of {groups}; {len(study.captures)} captures within 6 grey levels of their pixels"
    figure(f"measurements of {what} that OHIF {VERSION} lists and draws on their own frame", value, "all")


def test_the_report_of_two_stills_lies_on_its_images(viewer: Ohif, stills: Study, figure: Figure) -> None:
    assert len(items.groups(stills.report)) >= 4
    viewer.open(stills.uid)
    viewer.open_report()
    check_listed(viewer, stills)
    check_stepped(viewer, stills, "stills")
    check_drawn(viewer, stills)
    check_captures(viewer, stills, "stills")
    note(figure, "two stills", stills)


def test_the_report_of_a_clip_lies_on_its_frames(viewer: Ohif, clip: Study, figure: Figure) -> None:
    frames = [place.frame for group in items.groups(clip.report) if (place := items.place(group))]
    assert {(frame or 0) > PART for frame in frames} == {True}, "no frame that a viewer opens by itself"
    assert len(set(frames)) == 2
    assert all(a <= b for a, b in itertools.pairwise(f or 0 for f in frames))
    viewer.open(clip.uid)
    viewer.open_report()
    check_listed(viewer, clip)
    check_stepped(viewer, clip, "clip")
    check_drawn(viewer, clip)
    check_captures(viewer, clip, "clip")
    note(figure, "a clip", clip)
