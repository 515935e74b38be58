"""The votes drawn: identity outside of the witnesses' shapes is a mosaic, and the whole screen only where asked."""

import cv2
import numpy as np
import pytest

from dicom_ai.crop.catalogue import Layout
from dicom_ai.crop.picture import BLOCK, STEP, mosaicked, picture
from dicom_ai.crop.seen import Seen
from dicom_ai.crop.support import Support
from dicom_ai.kept import CropOutcome
from dicom_ai.simulate import phantom
from dicom_ai.simulate.screen import Header, screen, sector_size

LAYOUT = "logiq-e9-still"
HEADER = Header(name="PHANTOM^ADA", id="77", caption="RT LUNG")
BOUND = Layout(
    "GE", "GE", "X", None, 873, 1164, (((0.0, 100.0), (1164.0, 100.0), (1164.0, 873.0), (0.0, 873.0)),), "published"
)
FOUND = Support((((200.0, 200.0), (900.0, 200.0), (900.0, 800.0), (200.0, 800.0)),), "rectangle", 0.9)
REFUSED = CropOutcome("quarantined", "witnesses_disagree", 873, 1164, 1)


@pytest.fixture(scope="module")
def made():
    return screen(phantom.lung(21, labels=[], size=sector_size(LAYOUT)), LAYOUT, HEADER, rgb=True)


def seen(made, **changes):
    x0, y0, x1, y1 = made.region
    values = {"regions": ((x0, y0, x1 + 1, y1 + 1),), "doubted": (), "bound": None, "approved": None, "support": None}
    return Seen(screen=made.frames[0], **(values | changes))


def read(png):
    """The picture back, RGB, without the legend."""
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]


def is_mosaic(drawn, box):
    """Whether every block of a box (whole blocks) is one value in steps."""
    x0, y0, x1, y1 = box
    part = drawn[y0:y1, x0:x1].reshape((y1 - y0) // BLOCK, BLOCK, (x1 - x0) // BLOCK, BLOCK, 3)
    return bool((part == part[:, :1, :, :1]).all() and (part % STEP == 0).all())


def test_the_header_is_a_mosaic_and_what_two_witnesses_agree_on_is_not(made):
    drawn = read(picture(seen(made, support=FOUND), REFUSED, language="en", is_whole=False))
    assert is_mosaic(drawn, (0, 0, 1152, 96))
    assert is_mosaic(drawn, (16, 112, 192, 800)), "the label in the region, which no other witness covers"
    assert made.frames[0][:96].max() > 200
    assert (drawn[300:600, 300:800] == made.frames[0][300:600, 300:800]).all()


def test_a_picture_found_where_no_region_is_stated_lifts_no_mosaic(made):
    drawn = read(picture(seen(made, regions=(), support=FOUND), REFUSED, language="en", is_whole=False))
    assert is_mosaic(drawn, (224, 224, 880, 784))


def test_without_a_witness_everything_is_a_mosaic(made):
    drawn = read(picture(seen(made, regions=(), doubted=()), REFUSED, language="en", is_whole=False))
    assert is_mosaic(drawn, (0, 0, 1152, 864))


def test_a_region_that_is_not_believed_lifts_no_mosaic(made):
    found = seen(made, regions=(), doubted=((0, 0, 1164, 873),))
    drawn = read(picture(found, REFUSED, language="en", is_whole=False))
    assert is_mosaic(drawn, (16, 16, 1136, 96))


def test_a_published_bound_holds_where_the_region_is_the_whole_screen(made):
    drawn = read(picture(seen(made, regions=((0, 0, 1164, 873),), bound=BOUND), REFUSED, language="en", is_whole=False))
    assert is_mosaic(drawn, (16, 16, 1136, 96))


def test_text_found_on_the_tissue_is_a_mosaic(made):
    said = {"text": {"frames": 1, "boxes": [[400, 300, 500, 330]]}}
    outcome = CropOutcome("quarantined", "witnesses_disagree", 873, 1164, 1, votes=said)
    drawn = read(picture(seen(made, support=FOUND), outcome, language="en", is_whole=False))
    assert is_mosaic(drawn, (416, 304, 496, 320))


def test_counts_of_the_text_check_are_no_box(made):
    """Four numbers side by side are a box only in a list."""
    plain = picture(seen(made), REFUSED, language="en", is_whole=False)
    said = {"text": {"frames": 1, "hits": 0, "marks": 400, "weak": 300}}
    counted = CropOutcome("quarantined", "witnesses_disagree", 873, 1164, 1, votes=said)
    assert picture(seen(made), counted, language="en", is_whole=False) == plain


def test_the_whole_screen_is_shown_where_it_is_asked_for(made):
    drawn = read(picture(seen(made), REFUSED, language="zh", is_whole=True))
    assert (drawn[:96] == made.frames[0][:96]).all()


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("width", [120, 400, 1300])
def test_every_size_has_a_legend_in_every_language(language, width):
    blank = np.zeros((90, width, 3), np.uint8)
    found = Seen(blank, ((10, 10, 80, 80),), ((5, 5, 400, 60),), BOUND, None, None)
    drawn = read(picture(found, REFUSED, language=language, is_whole=False))
    scale = 1 if width >= 640 else 2
    assert drawn.shape[1] == width * scale
    assert drawn.shape[0] > 90 * scale + 100
    assert drawn[90 * scale :].max() == 255


def test_a_mosaic_says_nothing_of_glyphs():
    """Two names of the same length look alike: what tells them apart is under a step of a block's mean."""
    pictures = []
    for name in ("ADA TESTCASE", "EVA TESTHAUS"):
        blank = np.zeros((32, 256, 3), np.uint8)
        cv2.putText(blank, name, (8, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (230, 230, 230), 1)
        pictures.append(mosaicked(blank, np.zeros((32, 256), np.bool_)))
    assert len({int(value) for one in pictures for value in np.unique(one)}) <= 3
    assert (pictures[0] == pictures[1]).mean() > 0.85


def test_the_region_vote_is_what_is_drawn(made):
    x0, y0, x1, _ = made.region
    drawn = read(picture(seen(made), REFUSED, language="en", is_whole=False))
    assert (drawn[y0, x0 + 200 : x1 - 200] == (255, 220, 0)).all()
