"""What a video coder leaves of a picture: blocks predicted from the frame before, and a coarse residual.

DICOM clips come as H.264 and MPEG-2 as well; between their whole frames edges of blocks and copied speckle stand where
there was none, and look like strokes. What this is not: a codec, or its bit stream.
"""

import cv2
import numpy as np
import numpy.typing as npt

Grey = npt.NDArray[np.uint8]


def filmed(picture: Grey, rng: np.random.Generator) -> Grey:
    """A frame in the middle of a clip that shows `picture`, still or moving.

    Args:
        picture: uint8 (H, W); what stands on it stands still in the clip.
        rng: decides everything.

    Returns:
        uint8 of that size.
    """
    block = int(rng.choice([8, 16, 16]))
    shown = _still(picture, int(rng.integers(35, 90)))
    for _ in range(int(rng.integers(1, 5))):
        noisy = picture + rng.normal(0, rng.uniform(0, 6), picture.shape) * (picture > 3)
        wanted = np.clip(noisy, 0, 255).astype(np.float32)
        predicted = _moved(shown, block, rng)
        left = np.clip((wanted - predicted) / 2 + 128, 0, 255).astype(np.uint8)
        residual = (_still(left, int(rng.integers(10, 75))).astype(np.float32) - 128) * 2
        residual[np.abs(residual) < rng.uniform(0, 8)] = 0  # the dead zone of its quantiser
        shown = np.clip(predicted + residual, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        shown = np.asarray(cv2.bilateralFilter(shown, 3, 12, 1), np.uint8)  # as a filter of block edges
    return shown


def _still(picture: Grey, quality: int) -> Grey:
    made = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(made, cv2.IMREAD_GRAYSCALE), np.uint8)


def _moved(picture: Grey, block: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Every block taken from some way off, by quarters of a pixel; most from where it lies."""
    rows, columns = picture.shape
    size = -(-rows // block), -(-columns // block)
    steps = np.round(rng.normal(0, rng.uniform(0, 1.5), (2, *size)) * 4) / 4 * (rng.random(size) < rng.uniform(0, 0.8))
    down, across = (np.kron(one, np.ones((block, block)))[:rows, :columns].astype(np.float32) for one in steps)
    ys, xs = np.mgrid[:rows, :columns].astype(np.float32)
    source = picture.astype(np.float32)
    return np.asarray(cv2.remap(source, xs + across, ys + down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
