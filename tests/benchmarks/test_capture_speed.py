"""How long the making of a capture takes: drawing, encoding, writing; 1164 x 873, crop of 802 x 612."""

from time import perf_counter

import numpy as np
import pytest

from dicom_ai.report.capture import Shown, capture
from dicom_ai.report.header import part10
from dicom_ai.report.legend import legend
from dicom_ai.report.overlay import full_frames
from tests.builders_report import kept, lung, sector, source, spot

ROUNDS = 5


@pytest.mark.verify
@pytest.mark.parametrize(("frames", "bar_s"), [(1, 0.5), (16, 2.0), (136, 12.0)])
def test_a_capture_is_made_in_time(frames, bar_s, figure):
    header = source(1, frames=frames, rows=873, columns=1164)
    crop = kept(header, sector(873, 1164), tuple(range(1, frames + 1)))
    content = lung([source(1)])
    words = legend(content.analysis, content.findings, (0.1, 0.9, 0.7, 0.1), class_id="b_lines", is_assessable=True)
    heat = spot(crop, 400, 300, 120)
    rounds = []
    for _ in range(ROUNDS):
        begun = perf_counter()
        pictures = full_frames(crop, heat, words)
        drawn = perf_counter()
        size = len(
            part10(
                capture(content.analysis, header, Shown(pictures, crop.frame_numbers, "b_lines", 0, crop.outcome.box))
            )
        )
        rounds.append((drawn - begun, perf_counter() - drawn))
    draw, write = np.median(rounds, axis=0)
    figure(
        f"a capture of {frames} frames, 1164 x 873",
        f"{draw + write:.3f} s: drawn in {draw:.3f} s, encoded and written in {write:.3f} s; {size / 1e6:.1f} MB "
        f"(median of {ROUNDS})",
        f"{bar_s} s",
    )
    assert draw + write < bar_s
