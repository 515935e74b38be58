"""Where in a study a reader may point: its images, how large each is and how many frames it has.

Facts as the receiver read them from the headers. What this is not: which images were analysed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from dicom_ai.store.tables import NOT_STANDING, objects


@dataclass(frozen=True)
class Extent:
    """Size of an image in pixels and its number of frames, 1 for a still."""

    rows: int
    columns: int
    frames: int

    def holds(self, frame: Any, region: Any) -> bool:
        """Whether a one-based frame number (None: the image as a whole) and an outline (None: none) lie in it."""
        is_frame = frame is None or 1 <= frame <= self.frames
        return is_frame and all(0 <= x <= self.columns and 0 <= y <= self.rows for x, y in region or ())


def of_study(connection: Connection, study: str) -> Mapping[str, Extent]:
    """SOP Instance UID -> extent of every image of a study that stands; `study` is our own id."""
    c = objects.c
    query = select(c.sop_uid, c.facts).where(c.study == study, c.state.not_in(NOT_STANDING))
    return {
        row.sop_uid: Extent(row.facts["rows"], row.facts["columns"], row.facts["frames"])
        for row in connection.execute(query)
        if row.facts["rows"] and row.facts["columns"]
    }
