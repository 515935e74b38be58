"""Where the evidence for a class lies: the exact class activation map of a linear head over average pooling.

Class logit k is `bias_k + mean over cells of map_k`, so the map is no estimate: it is the logit, spread over the
picture. It equals Grad-CAM without rectification times the number of cells (the gradient of an average is the
weight divided by the number of cells); a test compares it with captum. Zhou et al., CVPR 2016; Selvaraju et al.,
ICCV 2017, appendix A.

What this is not: a segmentation. A cell sees more of the input than its own square.
"""

import numpy as np
import numpy.typing as npt
import torch

from models.preprocess import Letterbox


def class_activation(features: torch.Tensor, weights: torch.Tensor) -> npt.NDArray[np.float32]:
    """Class activation maps in closed form, without a backward pass.

    Args:
        features: float (T, C, m, m), the output of the card's map layer.
        weights: float (K, C), the linear head's class rows.

    Returns:
        float32 (T, K, m, m), in logits; the mean over m x m plus the head's bias is the class logit.
    """
    maps = torch.einsum("tcij,kc->tkij", features.float(), weights.float())
    return maps.detach().cpu().numpy().astype(np.float32)


def to_heat(maps: npt.NDArray[np.float32], letterbox: Letterbox, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Maps of one class as heat on the picture: 0 no evidence for the class, 255 the strongest of the clip.

    Rule: positive evidence only; scaled by the largest value over all frames and all pixels of the picture, so
    that frames of one clip can be compared. No positive evidence anywhere gives zeros.

    Args:
        maps: float32 (T, m, m).
        letterbox: where the picture lay in the network's input.
        size: (h, w) of the picture; must be the letterbox's.

    Returns:
        uint8 (T, h, w).

    Raises:
        ValueError: `size` is not that of the letterbox.
    """
    if size != (letterbox.height, letterbox.width):
        raise ValueError(f"the picture is {size}, the letterbox was made for {letterbox.height, letterbox.width}")
    spread = np.stack([letterbox.map_to_picture(frame) for frame in maps])
    positive = np.clip(spread, 0.0, None)
    peak = float(positive.max(initial=0.0))
    if peak <= 0.0:
        return np.zeros(positive.shape, np.uint8)
    heat: npt.NDArray[np.uint8] = np.rint(positive * (255.0 / peak)).astype(np.uint8)
    return heat
