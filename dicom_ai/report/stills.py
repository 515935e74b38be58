"""Key-frame stills: what a destination gets of a clip's capture when it refuses Multi-frame True Color SC.

Each still is one frame of the stored capture, decoded and kept raw, so that it shows what the clip shows; its UID is
named after the capture and the frame. What this is not: a second drawing; nothing is rendered here.
"""

import hashlib
import json
from collections.abc import Collection, Iterator
from copy import deepcopy
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import simplejpeg
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, SecondaryCaptureImageStorage

from dicom_ai.report.content import Analysis, CaptureLink, ImageContent, Reference, ReportContent
from dicom_ai.report.header import file_meta
from dicom_ai.report.uid import result_uid

_OF_A_CLIP = (
    "NumberOfFrames",
    "FrameTime",
    "FrameIncrementPointer",
    "StartTrim",
    "StopTrim",
    "RecommendedDisplayFrameRate",
)
_STEP = 1000
"""Between the Instance Numbers of the stills of two captures; a clip has fewer key frames."""


def still_uid(analysis: Analysis, capture: str, frame_number: int) -> str:
    """SOP Instance UID of the still of a capture (SOP Instance UID) at a source frame (one-based)."""
    kind = f"still {capture} {frame_number}"
    return result_uid(analysis.namespace, analysis.key, kind, SecondaryCaptureImageStorage, 0)


def key_frame_stills(content: ReportContent, capture: Dataset) -> Iterator[Dataset]:
    """The key frames of a clip's capture as SC Images, one after another.

    Args:
        content: of the report; names the key frames of the clip.
        capture: Multi-frame True Color SC Image of one of its images, with pixel data.

    Yields:
        Data sets with File Meta Information, Explicit VR Little Endian.

    Raises:
        ValueError: the content does not name this capture.
    """
    image, link = _named(content, str(capture.SOPInstanceUID))
    for n, number in enumerate(_frame_numbers(image, link), 1):
        yield _still(content.analysis, capture, (link.frame_numbers.index(number), number, n))


def as_taken(content: ReportContent, taken: Collection[str]) -> ReportContent:
    """What the report says to a destination that has only some captures: no reference leads to one it has not.

    Args:
        content: with all captures that were made.
        taken: SOP Instance UIDs of the captures and stills that the destination has or is about to get.
    """
    images = tuple(replace(image, captures=tuple(_links(content.analysis, image, taken))) for image in content.images)
    return replace(content, images=images)


def variant(content: ReportContent, whole: ReportContent) -> str:
    """What sets a report apart from the one that refers to every capture and follows none; "" when nothing does.

    Destinations where the same captures and the same predecessor lie share one report.

    Args:
        content: what the report says at a destination, of `as_taken`, with its predecessor.
        whole: what it says where everything arrived.
    """
    if content == whole:
        return ""
    links = [link.reference.sop_instance_uid for image in content.images for link in image.captures]
    before = content.predecessor.sop_instance_uid if content.predecessor is not None else ""
    return hashlib.sha256(json.dumps([links, before]).encode()).hexdigest()[:32]


def frame_of(capture: Dataset, index: int) -> npt.NDArray[np.uint8]:
    """One frame of a capture of ours, RGB, uint8 (rows, columns, 3); `index` from 0.

    Raises:
        ValueError: its pixels are not as this project writes them.
    """
    rows, columns, frames = int(capture.Rows), int(capture.Columns), int(capture.get("NumberOfFrames") or 1)
    if not 0 <= index < frames:
        raise ValueError("a capture has not that many frames")
    if capture.file_meta.TransferSyntaxUID == JPEGBaseline8Bit:
        encoded = get_frame(capture.PixelData, index, number_of_frames=frames)
        picture: npt.NDArray[np.uint8] = simplejpeg.decode_jpeg(encoded, colorspace="RGB")
    else:
        size = rows * columns * 3
        raw = np.frombuffer(capture.PixelData, np.uint8, size, index * size)
        picture = raw.reshape(rows, columns, 3)
    if picture.shape != (rows, columns, 3):
        raise ValueError("a frame of a capture is not as large as its header says")
    return picture


def _named(content: ReportContent, capture: str) -> tuple[ImageContent, CaptureLink]:
    for image in content.images:
        for link in image.captures:
            if link.reference.sop_instance_uid == capture:
                return image, link
    raise ValueError("the report names no such capture")


def _frame_numbers(image: ImageContent, link: CaptureLink) -> list[int]:
    numbers = (frame.frame_number for frame in image.key_frames)
    return [number for number in numbers if number is not None and number in link.frame_numbers]


def _links(analysis: Analysis, image: ImageContent, taken: Collection[str]) -> Iterator[CaptureLink]:
    for link in image.captures:
        whole = link.reference
        if whole.sop_instance_uid in taken:
            yield link
            continue
        for number in _frame_numbers(image, link):
            uid = still_uid(analysis, whole.sop_instance_uid, number)
            if uid in taken:
                still = Reference(str(SecondaryCaptureImageStorage), uid, whole.series_instance_uid)
                yield CaptureLink(still, link.class_id, (number,))


def _still(analysis: Analysis, capture: Dataset, which: tuple[int, int, int]) -> Dataset:
    """The frame at an index of the capture, of a source frame number, the n-th still."""
    index, number, n = which
    ds = Dataset()
    for element in capture:
        if element.keyword != "PixelData" and element.keyword not in _OF_A_CLIP:
            ds.add(deepcopy(element))
    ds.SOPClassUID = SecondaryCaptureImageStorage
    ds.SOPInstanceUID = still_uid(analysis, str(capture.SOPInstanceUID), number)
    ds.InstanceNumber = _STEP * int(capture.InstanceNumber) + n
    ds.SourceImageSequence[0].ReferencedFrameNumber = number
    ds.PhotometricInterpretation, ds.PlanarConfiguration = "RGB", 0
    raw = frame_of(capture, index).tobytes()
    ds.PixelData = raw + b"\0" * (len(raw) % 2)
    ds["PixelData"].VR = "OB"
    ds.file_meta = file_meta(ds, ExplicitVRLittleEndian)
    ds.preamble = b"\0" * 128
    return ds
