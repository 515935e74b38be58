"""The content tree of the report as Basic Text (PS3.3 A.35.1): what the full report says, in sentences.

The same first block as in the full report (warning, a coded answer per class, remarks), then the numbers of every key
frame as a sentence, the images and the captures. What this is not: measurements or regions; the class allows none.
"""

from highdicom.sr import ContainerContentItem

from dicom_ai.report.code import class_terms
from dicom_ai.report.content import KeyFrame, ReportContent
from dicom_ai.report.group import illustrating, illustration, where_in
from dicom_ai.report.tree import beginning, library, separate
from dicom_ai.report.wording import comments, say


def basic_tree(content: ReportContent, places: list[str]) -> ContainerContentItem:
    """Build the root container.

    Args:
        content: of the report.
        places: where a reader finds each image (analysed ones first, then the skipped).

    Returns:
        A tree of CONTAINER, CODE, TEXT, UIDREF and IMAGE items; every container SEPARATE.
    """
    root = beginning(content, [*comments(content, places), *frame_sentences(content)], template_id=None)
    root.ContentSequence.append(library(content, None))
    seen = set()
    for image in content.images:
        for frame in image.key_frames:
            link = illustrating(image, frame, None)
            what = (link.reference.sop_instance_uid, frame.frame_number) if link is not None else None
            if link is not None and what not in seen:
                seen.add(what)
                root.ContentSequence.append(illustration(link, frame))
    separate(root)
    return root


def frame_sentences(content: ReportContent) -> list[str]:
    """One sentence per key frame, in the order of the report."""
    return [
        frame_sentence(content, number, frame)
        for number, image in enumerate(content.images, 1)
        for frame in image.key_frames
    ]


def frame_sentence(content: ReportContent, number: int, frame: KeyFrame) -> str:
    """Where a key frame is (its image has this number, from 1), and how probable each class is on it."""
    language = content.analysis.language
    return say("frame_says", language, where=where_in(number, frame, language), numbers=_numbers(content, frame))


def _numbers(content: ReportContent, frame: KeyFrame) -> str:
    language = content.analysis.language
    pairs = zip(content.findings, frame.probabilities, strict=True)
    return ("、" if language == "zh" else ", ").join(
        say("number", language, name=class_terms(finding.class_id).name(language), percent=100 * p)
        for finding, p in pairs
    )
