"""Everything a report says, as values: built by the workflow, stored in the ledger as JSON, turned into objects here.

The same content always makes the same bytes. What this is not: a data set; patient identity is not in it, it is
copied from the source headers when an object is built.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import TypeAdapter

from dicom_ai.finding import Finding, ImageScore, Rules, State, key_frame
from dicom_ai.kept import Box, Polygon
from dicom_ai.report.rendering import DEFAULT, Rendering
from models.card import ModelCard

REPORT_VERSION = "2"
"""Part of the analysis key: raised whenever the form of an SR or a capture changes."""


@dataclass(frozen=True)
class ClassFacts:
    """One class of the model: its id, its code as the card states it, its threshold (0..1)."""

    id: str
    value: str
    scheme: str
    threshold: float


@dataclass(frozen=True)
class ModelFacts:
    """The part of a model's card that results name."""

    name: str
    version: str
    card_digest: str
    weights_digest: str
    task: str
    grade: str
    head: str
    classes: tuple[ClassFacts, ...]
    crop: str
    input_size: int
    resize: str
    frame_to_clip: str
    clip_to_study: str
    abstain: str
    assessable_from: float

    @classmethod
    def of(cls, card: ModelCard, grade: str) -> "ModelFacts":
        """Read them from a card; `grade` is the one that counts, which is not more than the card claims."""
        return cls(
            name=card.name,
            version=card.version,
            card_digest=card.digest,
            weights_digest=card.digests["weights.safetensors"],
            task=card.task,
            grade=grade,
            head=card.head,
            classes=tuple(ClassFacts(c.id, c.code.value, c.code.scheme, c.threshold) for c in card.classes),
            crop=card.crop.keep,
            input_size=card.input.size,
            resize=card.input.resize,
            frame_to_clip=card.pooling.frame_to_clip,
            clip_to_study=card.pooling.clip_to_study,
            abstain=card.abstain.kind,
            assessable_from=card.abstain.threshold if card.abstain.kind != "none" else 0.0,
        )


@dataclass(frozen=True)
class Analysis:
    """Who says it, when, in which language: what the SR and the captures of one analysis share.

    Attributes:
        namespace: of the site, for UIDs.
        key: analysis key.
        content_time: ISO 8601 date and time; in the zone of the source, or naive.
        software_version: of this project.
        serial: of the installation (store id), at most 64 characters.
        station: name of the installation, at most 16 characters.
        revision: 1 for the first report of a study, then counting.
        rendering: how the captures are drawn.
    """

    namespace: str
    key: str
    language: Literal["en", "zh"]
    content_time: str
    software_version: str
    serial: str
    station: str
    revision: int
    model: ModelFacts
    rendering: Rendering = DEFAULT


@dataclass(frozen=True)
class Reference:
    """An instance of the same study."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str


@dataclass(frozen=True)
class CaptureLink:
    """A heatmap of an image.

    Attributes:
        class_id: whose heat it shows, None when it shows none.
        frame_numbers: the source frames it holds, one-based, in order; empty for a still.
    """

    reference: Reference
    class_id: str | None
    frame_numbers: tuple[int, ...] = ()


@dataclass(frozen=True)
class KeyFrame:
    """A frame worth showing.

    Attributes:
        frame_number: one-based, of the source; None for a still.
        probabilities: 0..1, card's class order.
        regions: (class id, closed polygon in full-frame pixels).
    """

    frame_number: int | None
    probabilities: tuple[float, ...]
    regions: tuple[tuple[str, Polygon], ...] = ()


@dataclass(frozen=True)
class ImageContent:
    """One analysed image.

    Attributes:
        frames: NumberOfFrames of the source.
        analysed_frames: how many of them were analysed.
        rows, columns: of the source.
        box: what the model was shown, full-frame pixels.
        probabilities: of the whole image, 0..1, card's class order.
        captures: its heatmaps, one per class shown, the most probable first.
    """

    sop_class_uid: str
    sop_instance_uid: str
    frames: int
    analysed_frames: int
    rows: int
    columns: int
    box: Box
    is_assessable: bool
    probabilities: tuple[float, ...]
    key_frames: tuple[KeyFrame, ...]
    captures: tuple[CaptureLink, ...] = ()


@dataclass(frozen=True)
class Skipped:
    """An image of the set that was not analysed; `reason` is a code of `errors.REASONS`."""

    sop_class_uid: str
    sop_instance_uid: str
    reason: str


@dataclass(frozen=True)
class ReportContent:
    """Everything the SR says.

    Attributes:
        findings: one per class of the model, in the card's order.
        predecessor: the report this one supersedes.
    """

    analysis: Analysis
    findings: tuple[Finding, ...]
    images: tuple[ImageContent, ...]
    skipped: tuple[Skipped, ...] = ()
    predecessor: Reference | None = None

    def to_json(self) -> str:
        """As JSON text; `from_json` reads it back equal."""
        return _ADAPTER.dump_json(self).decode()

    @classmethod
    def from_json(cls, text: str) -> "ReportContent":
        """Read what `to_json` wrote."""
        return _ADAPTER.validate_json(text)

    @property
    def is_complete(self) -> bool:
        """Whether every image of the set was analysed and is assessable."""
        return bool(self.images) and not self.skipped and all(image.is_assessable for image in self.images)


_ADAPTER = TypeAdapter(ReportContent)


def shown_classes(probabilities: Sequence[float], findings: Sequence[Finding]) -> tuple[str, ...]:
    """Classes that this frame shows: Present in the study and over their threshold here, the most probable first.

    Args:
        probabilities: of the frame or image, 0..1, in the order of `findings`.
        findings: of the study.
    """
    pairs = zip(probabilities, findings, strict=True)
    over = [(p, f.class_id) for p, f in pairs if f.state is State.PRESENT and p >= f.threshold]
    return tuple(class_id for _, class_id in sorted(over, key=lambda pair: -pair[0]))


def key_frames(image: ImageScore, findings: Sequence[Finding], rules: Rules) -> tuple[int, ...]:
    """The frames that carry the decision: the best frame of each class Present that reaches its threshold there.

    Args:
        image: scores of a still or clip.
        findings: of the study, in the card's order.
        rules: of the card.

    Returns:
        One-based source frame numbers, ascending, at least one: where no class is shown, the frame of the class
        that comes nearest.
    """
    best = [key_frame(image, index, rules) for index in range(len(findings))]
    numbers = {
        frame.frame_number
        for finding, frame in zip(findings, best, strict=True)
        if image.is_assessable and finding.class_id in shown_classes(frame.probabilities, findings)
    }
    if not numbers:
        nearest = max(range(len(best)), key=lambda index: best[index].probabilities[index])
        numbers = {best[nearest].frame_number}
    return tuple(sorted(numbers))


def heat_classes(image: ImageScore, findings: Sequence[Finding], rules: Rules) -> tuple[str | None, ...]:
    """Whose heat is drawn for an image: every class that one of its key frames shows; (None,) when none does.

    The class `normal` has no place in the picture and is never drawn.
    """
    if not image.is_assessable:
        return (None,)
    frames = {frame.frame_number: frame for frame in image.frames}
    numbers = key_frames(image, findings, rules)
    shown = {c for n in numbers for c in shown_classes(frames[n].probabilities, findings) if c != "normal"}
    order = sorted(range(len(findings)), key=lambda index: -image.probabilities[index])
    return tuple(findings[index].class_id for index in order if findings[index].class_id in shown) or (None,)
