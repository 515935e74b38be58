"""Other ways to de-identify the same objects: keep the region box, blank a fixed rectangle, run pydicom/deid.

Each answers with the pixels it lets through. What this is not: a judgement of those tools on other images than these.
"""

import contextlib
import io
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from dicom_ai.crop.region import region_vote
from dicom_ai.kept import Mask, mask_of
from dicom_ai.simulate.geometry import Grey

CTP_LOGIQ_E9 = (0, 0, 960, 70)
"""x, y, width, height that the RSNA Clinical Trial Processor's pixel anonymizer blanks on a LOGIQ E9."""

REGION, FIXED, DEID = "crop to the region box", "blank 0,0,960x70", "pydicom/deid, ultrasound recipe"


def region_box(ds: Dataset) -> Mask | None:
    """What is left when a picture is cut to its 2D regions; None where there is none to cut to."""
    boxes = region_vote(ds).boxes
    if not boxes:
        return None
    corners = [((x0, y0), (x1, y0), (x1, y1), (x0, y1)) for x0, y0, x1, y1 in boxes]
    return mask_of([tuple((float(x), float(y)) for x, y in one) for one in corners], int(ds.Rows), int(ds.Columns))


def fixed_rectangle(ds: Dataset) -> Mask:
    """What is left when the rectangle is blanked on every screen."""
    mask = np.ones((int(ds.Rows), int(ds.Columns)), np.bool_)
    x, y, wide, high = CTP_LOGIQ_E9
    mask[y : y + high, x : x + wide] = False
    return mask


def has_deid() -> bool:
    """Whether pydicom/deid is installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import deid  # noqa: F401
    except ImportError:
        return False
    return True


def by_deid(path: Path, frames: Grey) -> Mask | None:
    """What pydicom/deid's ultrasound recipe lets through.

    Args:
        path: of the object.
        frames: uint8 (T, rows, columns[, 3]), what stands in it.

    Returns:
        Every pixel but those it blanked: black in all it gives back and not in `frames`. A pixel that was black before
        counts as let through, so this says nothing of a fit. None where it fails.
    """
    shape = frames.shape[1:3]
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        from deid.dicom import DicomCleaner

        cleaner = DicomCleaner(deid="dicom.ultrasound", output_folder=str(path.parent))
        try:
            found = cleaner.detect(str(path))
            if not found["flagged"]:
                return np.ones(shape, np.bool_)
            lit = _lit(np.asarray(cleaner.clean()), shape)
        except Exception:  # noqa: BLE001 - another program's failure is an answer here
            return None
    return None if lit is None else lit | ~_bright(frames)


def _bright(frames: Grey) -> Mask:
    """Bright enough on some frame that no compression makes it black."""
    brightest = frames.max(axis=0)
    bright: Mask = (brightest if brightest.ndim == 2 else brightest.max(axis=2)) > 24
    return bright


def _lit(cleaned: npt.NDArray[np.generic], shape: tuple[int, ...]) -> Mask | None:
    """Any value that is not zero, whatever axes stand before and after rows and columns."""
    for first in range(cleaned.ndim - 1):
        if cleaned.shape[first : first + 2] == tuple(shape):
            others = tuple(axis for axis in range(cleaned.ndim) if axis not in {first, first + 1})
            lit: Mask = (cleaned != 0).any(axis=others)
            return lit
    return None
