"""Pictures and clips of a folder: decoded or refused, never guessed at; cropped as folder and pixels say."""

import cv2
import numpy as np
import pytest

from dicom_ai.kept import CropOutcome
from tests.collected import picture, save, save_clip, written_on
from train import folder_crop
from train.folder import UnreadablePicture, is_picture, read_frames
from train.folder_crop import Refused, cropped


def rgb(grey):
    return np.repeat(grey[:, :, np.newaxis], 3, axis=2)


def test_a_png_comes_back_pixel_by_pixel(tmp_path):
    grey = picture(1, "a_lines")
    save(tmp_path / "a.png", grey)
    (frame,) = read_frames([tmp_path / "a.png"], 4).frames
    assert (frame == rgb(grey)).all()


def test_frames_of_one_clip_keep_their_order_and_sizes(tmp_path):
    files = []
    for number, side in enumerate((90, 120, 100)):
        files.append(tmp_path / f"{number}.png")
        save(files[-1], np.full((side, side), 50 + number, np.uint8))
    assert [frame.shape[0] for frame in read_frames(files, 8).frames] == [90, 120, 100]


def test_black_frames_are_dropped_before_frames_are_chosen(tmp_path):
    save_clip(tmp_path / "a.mp4", [np.full((64, 64), 0 if n < 6 else 20 * n, np.uint8) for n in range(12)])
    read = read_frames([tmp_path / "a.mp4"], 3)
    assert read.black == 6
    assert [round(float(frame.mean()), -1) for frame in read.frames] == [120, 160, 200]


def test_a_clip_that_ends_early_is_refused(tmp_path):
    rng = np.random.default_rng(0)
    save_clip(tmp_path / "a.mp4", [rng.integers(0, 256, (64, 64)).astype(np.uint8) for _ in range(40)])
    whole = (tmp_path / "a.mp4").read_bytes()
    # the index lies behind the samples: keep both and destroy samples in the middle
    torn = bytearray(whole)
    torn[len(whole) // 4 : len(whole) * 3 // 4] = bytes(len(whole) * 3 // 4 - len(whole) // 4)
    (tmp_path / "b.mp4").write_bytes(bytes(torn))
    (tmp_path / "c.mp4").write_bytes(whole[: len(whole) // 2])
    for name in ("b.mp4", "c.mp4"):
        with pytest.raises(UnreadablePicture):
            read_frames([tmp_path / name], 8)


def test_sixteen_bits_a_text_and_a_play_list_are_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((64, 64), np.uint16))
    (tmp_path / "b.png").write_text("no picture")
    (tmp_path / "c.mp4").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/hostname\n")
    for name in ("a.png", "b.png", "c.mp4"):
        with pytest.raises(UnreadablePicture, match="unreadable"):
            read_frames([tmp_path / name], 1)


def test_a_picture_that_would_fill_the_memory_is_refused_by_its_header(tmp_path):
    import struct
    import zlib

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 9000, 9000, 8, 2, 0, 0, 0))
    (tmp_path / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )
    with pytest.raises(UnreadablePicture, match="frame_size"):
        read_frames([tmp_path / "a.png"], 1)


def test_two_videos_are_no_clip(tmp_path):
    with pytest.raises(UnreadablePicture):
        read_frames([tmp_path / "a.mp4", tmp_path / "b.mp4"], 1)
    assert not is_picture(tmp_path / "a.tiff")


def test_a_cropped_lung_keeps_its_picture():
    grey = picture(2, "b_lines")
    (pixels,) = cropped([rgb(grey)])
    assert pixels.sum() > 0.95 * rgb(grey).sum()


def test_a_picture_that_fills_the_frame_loses_its_margin_only():
    grey = picture(2, "b_lines")
    inner = np.ascontiguousarray(grey[90:180, 110:190])
    assert inner.min(axis=0).max() > 0
    inner = cv2.resize(inner, (320, 360), interpolation=cv2.INTER_CUBIC)
    (pixels,) = cropped([rgb(inner)])
    assert pixels.shape[0] >= 350
    assert pixels.shape[1] >= 310


def test_where_the_pixels_do_not_bear_out_the_frame_the_folder_is_believed(monkeypatch):
    grey = picture(2, "b_lines")
    refused = CropOutcome("quarantined", "witnesses_disagree", *grey.shape, 1)
    monkeypatch.setattr(folder_crop, "decide", lambda *said, **more: refused)
    (pixels,) = cropped([rgb(grey)])
    assert (pixels == rgb(grey)).all()
    with pytest.raises(Refused, match="text_on_tissue"):
        cropped([rgb(written_on(grey))])


def test_text_on_the_picture_refuses_the_clip_unless_a_person_has_looked():
    grey = picture(3, "a_lines")
    with pytest.raises(Refused, match="text_on_tissue"):
        cropped([rgb(grey), rgb(written_on(grey))])
    assert len(cropped([rgb(written_on(grey))], is_looked_at=True)) == 1


def test_text_beside_the_picture_is_cut_away():
    grey = picture(3, "a_lines")
    shown = np.vstack([grey, np.zeros((60, grey.shape[1]), np.uint8)])
    cv2.putText(shown, "DOE JANE", (20, grey.shape[0] + 40), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 255, 1, cv2.LINE_AA)
    (pixels,) = cropped([rgb(shown)])
    assert pixels.shape[0] <= grey.shape[0]
    assert pixels.sum() > 0.9 * rgb(grey).sum()


def test_what_shows_no_picture_is_refused_even_when_somebody_looked():
    with pytest.raises(Refused, match="no_picture"):
        cropped([rgb(np.full((200, 200), 9, np.uint8))], is_looked_at=True)


def test_frames_of_other_sizes_are_judged_apart_and_come_back_in_order():
    grey = picture(2, "b_lines")
    small = cv2.resize(grey, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA)
    heights = [pixels.shape[0] for pixels in cropped([rgb(grey), rgb(small), rgb(grey)])]
    assert heights[0] == heights[2] > heights[1]
