"""Text on simulated pictures: found where it stands, blanked where it stands still, and clean pictures left alone."""

import cv2
import numpy as np
import pytest

from dicom_ai.crop.policy import Policy
from dicom_ai.crop.text import MOST_BLANKED, TextCheck
from dicom_ai.simulate import phantom
from dicom_ai.simulate.lettering import Face, letters

SIZE, LARGE = (480, 640), (640, 860)
FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_PLAIN, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX)


@pytest.fixture(scope="module")
def still():
    return phantom.lung(3, labels=["b_lines"], size=SIZE)


@pytest.fixture(scope="module")
def clip():
    return phantom.lung(3, labels=["b_lines"], size=LARGE, frames=8)


def inner(shown):
    framed = np.pad(shown.sector_mask.astype(np.uint8), 3)
    return cv2.erode(framed, np.ones((7, 7), np.uint8))[3:-3, 3:-3] > 0


def vote_of(shown, frames, words=(), **policy):
    check = TextCheck(inner(shown), words)
    for frame in frames:
        check.look(frame if frame.ndim == 3 else frame[..., None])
    return check.vote(Policy(**policy))


def written(frame, text="PHANTOM 12", *, at=(250, 260), level=235, font=FONTS[0], height=12):
    out = frame.copy()
    scale = height / (9 if font == cv2.FONT_HERSHEY_PLAIN else 21)  # rows of a capital at scale 1
    cv2.putText(out, text, at, font, scale, level, 1, cv2.LINE_AA)
    return out


def test_clean_pictures_are_left_alone(still, clip):
    for shown in (still, clip):
        vote = vote_of(shown, shown.frames)
        assert (vote.reason, vote.blanked) == (None, ())
        assert vote.seen["hits"] == 0


@pytest.mark.parametrize("font", FONTS)
@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("height", [10, 16, 28])
def test_text_on_a_still_is_refused(still, font, level, height):
    vote = vote_of(still, [written(still.frames[0], font=font, level=level, height=height)])
    assert (vote.reason, vote.blanked) == ("text_on_tissue", ())


def test_chinese_text_is_found(still):
    frame = still.frames[0].copy()
    for letter in letters("姓名王小明", Face("uni"), 18):
        (x, y), (h, w) = letter.at, letter.coverage.shape
        part = frame[250 + y : 250 + y + h, 260 + x : 260 + x + w]
        np.maximum(part, (letter.coverage * 0.9).astype(np.uint8), out=part)
    assert vote_of(still, [frame]).reason == "text_on_tissue"


def test_text_survives_lossy_compression(still):
    frame = written(still.frames[0], level=200, height=14)
    for quality in (75, 85, 95):
        coded = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        shown = np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE))
        assert vote_of(still, [shown]).reason == "text_on_tissue", quality


def test_coloured_text_no_brighter_than_the_echoes_is_found(still):
    grey = np.maximum(still.frames[0], 90)
    frame = np.repeat(grey[..., None], 3, axis=2)
    ink = written(np.zeros_like(grey), level=255, height=16) > 128
    frame[ink] = np.stack([grey[ink], grey[ink] // 4, grey[ink] // 4], axis=1)
    assert vote_of(still, [frame]).reason == "text_on_tissue"


def test_text_outside_the_kept_shape_does_not_count(still):
    frame = written(still.frames[0], at=(4, 20))
    assert not inner(still)[:24, :100].any()
    assert vote_of(still, [frame]).reason is None


def test_text_on_one_frame_and_moving_text_are_refused(clip):
    one = clip.frames.copy()
    one[4] = written(one[4])
    moving = np.stack([written(frame, at=(220 + 12 * n, 260)) for n, frame in enumerate(clip.frames)])
    for frames in (one, moving):
        vote = vote_of(clip, frames)
        assert (vote.reason, vote.blanked) == ("text_on_tissue", ())


def test_a_small_label_that_stands_still_is_blanked_whole(clip):
    for quality in (0, 90):
        ink = written(np.zeros_like(clip.frames[0]), text="RT 12")
        frames = [written(frame, text="RT 12") for frame in clip.frames]
        if quality:
            coded = [cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])[1] for frame in frames]
            frames = [np.asarray(cv2.imdecode(one, cv2.IMREAD_GRAYSCALE)) for one in coded]
        vote = vote_of(clip, frames)
        assert vote.reason is None
        painted = np.zeros(LARGE, np.bool_)
        for x0, y0, x1, y1 in vote.blanked:
            painted[y0:y1, x0:x1] = True
        assert painted[ink > 0].all()
        keep = inner(clip)
        assert (painted & keep).sum() <= MOST_BLANKED * keep.sum()


def test_nothing_is_blanked_where_the_policy_forbids_it_or_nothing_moves_or_it_is_a_word_of_the_header(clip):
    frames = [written(frame, text="BADENFI") for frame in clip.frames]
    assert vote_of(clip, frames, blank="never").reason == "text_on_tissue"
    assert vote_of(clip, frames[:4]).reason == "text_on_tissue"
    assert vote_of(clip, [frames[0]] * 8).reason == "text_on_tissue"
    assert vote_of(clip, frames, words=("BADENFI",)).reason == "text_on_tissue"
    assert vote_of(clip, frames, words=("OTHER NAME",)).reason is None


def test_what_is_seen_never_holds_the_text(still):
    vote = vote_of(still, [written(still.frames[0], text="BADENFI")], words=("BADENFI",))
    assert "BADENFI" not in str(vote)
    assert set(vote.seen) == {"frames", "hits", "marks", "weak", "boxes"}


def test_boxes_are_where_the_text_is(still):
    ys, xs = np.nonzero(written(np.zeros(SIZE, np.uint8), at=(250, 260)))
    boxes = vote_of(still, [written(still.frames[0], at=(250, 260))]).seen["boxes"]
    assert any(x0 <= xs.mean() < x1 and y0 - 8 <= ys.mean() < y1 + 8 for x0, y0, x1, y1 in boxes)


def pair(out, form, size):
    for at in ((300, 240), (390, 270)):
        cv2.drawMarker(out, at, 255, form, size, 1)


def dots(out):
    for step in range(0, 90, 6):
        cv2.circle(out, (300 + step, 240 + step // 3), 1, 255, -1)


def ticks(out):
    for step in range(-100, 100, 25):
        cv2.line(out, (300, 240 + step), (305, 240 + step), 255, 1)


MARKS = {
    "calipers": lambda out: pair(out, cv2.MARKER_CROSS, 13),
    "tilted calipers": lambda out: pair(out, cv2.MARKER_TILTED_CROSS, 11),
    "dotted line": dots,
    "ticks": ticks,
    "pointer": lambda out: cv2.fillPoly(out, [np.array([(300, 234), (300, 246), (309, 240)], np.int32)], 255),
    "guide": lambda out: cv2.line(out, (240, 180), (360, 300), 255, 1, cv2.LINE_AA),
    "ring": lambda out: cv2.circle(out, (300, 240), 7, 255, 1, cv2.LINE_AA),
}


@pytest.mark.parametrize("kind", MARKS)
def test_marks_are_no_text_but_a_label_beside_them_is(still, kind):
    frame = still.frames[0].copy()
    MARKS[kind](frame)
    assert vote_of(still, [frame]).reason is None
    assert vote_of(still, [written(frame, text="12.5 mm", at=(316, 236))]).reason == "text_on_tissue"


def test_nothing_kept_means_nothing_to_find():
    check = TextCheck(np.zeros(SIZE, np.bool_), ())
    check.look(np.full((*SIZE, 1), 255, np.uint8))
    assert check.vote(Policy()).reason is None


@pytest.mark.parametrize("size", [(64, 64), (65, 71), (97, 130)])
def test_frames_of_any_size_are_looked_at(size):
    check = TextCheck(np.ones(size, np.bool_), ())
    check.look(written(np.full(size, 20, np.uint8), text="AB1", at=(14, 40), height=14)[..., None])
    assert check.vote(Policy()).reason == "text_on_tissue"
