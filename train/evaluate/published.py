"""What both papers print, to stand beside ours. Other images, other patients: nothing here can be compared by number.

Acad J Naval Med Univ 2022;43(8):901-907, and Chin J Med Imaging Technol 2025;41(12):1954-1959.
"""

from typing import NamedTuple


class Lung(NamedTuple):
    """A row of the lung table, per cent."""

    precision: float
    specificity: float
    f1: float
    recall: float
    accuracy: float


LUNG = {
    "a_lines": Lung(97.51, 99.37, 93.68, 90.38, 96.97),
    "b_lines": Lung(87.31, 96.09, 87.19, 86.97, 93.66),
    "pleural_effusion": Lung(85.42, 94.07, 89.52, 94.25, 94.41),
    "consolidation": Lung(93.70, 97.85, 91.92, 91.18, 96.02),
}
LUNG_ALL = Lung(90.99, 96.85, 90.50, 90.70, 90.70)
LUNG_KAPPA = 0.8737
LUNG_FIRST_ROW = (237, 16, 11)
"""A-lines called A-lines, B-lines, effusion: 89.77 % of 264, not the recall of the table."""

UTERUS = {
    "Inception-v3": ("85.22", "80.69", "82.46"),
    "DenseNet-121": ("81.13", "< 80", "78.30"),
    "ResNet-18": ("-", "< 80", "79.10"),
    "VGG-16": ("74.40", "< 80", "< 78"),
    "the other four": ("73-86", "< 80", "< 78"),
}
"""Network -> macro precision, recall, F1, per cent, as far as printed."""
