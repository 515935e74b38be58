"""From stored objects to findings, captures and report content, value by value.

Shared by the durable workflow and by the command `analyse`: what a file says offline is what the service says. It
knows no ledger, job or destination; whoever calls it commits between the steps.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from dicom_ai import __version__
from dicom_ai.approved import named_in
from dicom_ai.classify.catalogue import Installed
from dicom_ai.classify.runtime import Classifier
from dicom_ai.classify.shelf import Shelf, shelf_of
from dicom_ai.crop.cropper import Cropper
from dicom_ai.cropping import PIPELINE_VERSION
from dicom_ai.errors import ModelError, ResourceError
from dicom_ai.finding import FrameScore, image_score
from dicom_ai.instance import Instance
from dicom_ai.kept import CropOutcome, Kept
from dicom_ai.log import get_logger
from dicom_ai.report import content as report
from dicom_ai.report.code import class_terms
from dicom_ai.report.rendering import DEFAULT, Rendering
from dicom_ai.report.uid import analysis_key
from dicom_ai.settings import Settings
from dicom_ai.store.site_id import SiteId

Heat = Mapping[int, npt.NDArray[np.uint8]]


@dataclass(frozen=True)
class Scores:
    """What the network said of one image: its frames and, for the classes present in it, where."""

    frames: tuple[FrameScore, ...]
    heat: Heat


@dataclass(frozen=True)
class Examined:
    """A member of a source set with what crop and network said of it.

    Attributes:
        digest: of the data set.
        outcome_digest: of the crop outcome.
        frames: scores; empty when the member was not cropped.
    """

    digest: str
    instance: Instance
    outcome: CropOutcome
    outcome_digest: str
    frames: tuple[FrameScore, ...]


@dataclass(frozen=True)
class Case:
    """Everything known of a source set before it is reported; members in the scanner's order.

    Attributes:
        content_time: aware, or naive in the zone of the sources.
    """

    task: str
    members: tuple[Examined, ...]
    revision: int
    content_time: datetime


@dataclass(frozen=True)
class Style:
    """How results meet people: the language of reports and captures, and how captures are drawn."""

    language: Literal["en", "zh"] = "en"
    rendering: Rendering = DEFAULT

    @classmethod
    def of(cls, settings: Settings) -> "Style":
        """As the settings of the site want it."""
        return cls(settings.site.language, Rendering(settings.report.colour_map, settings.report.rendering))


class Analyst:
    """Crops with the decoding children and scores on the device."""

    def __init__(
        self,
        cropper: Cropper,
        load: Callable[[Installed], Classifier],
        models: Sequence[Installed] | Callable[[], Shelf],
        *,
        site: SiteId,
        station: str,
        style: Style,
    ) -> None:
        """Take the real parts; a model is loaded and proven when it is first needed.

        Args:
            cropper: the decoding children.
            load: builds the classifier of an installed model.
            models: the models there are, or what supplies the shelf as it is at the moment.
            site: identity of the installation.
            station: station name, at most 16 characters.
            style: of reports and captures.
        """
        self._cropper, self._load = cropper, load
        self._shelf = models if callable(models) else partial(shelf_of, tuple(models))
        self._site, self._station, self._style = site, station, style
        self._classifiers: dict[str, Classifier] = {}
        self._loading = threading.Lock()

    def prove(self) -> None:
        """Load every model that answers for a task: a wrong one is known at the start, not at the first patient.

        A model that is refused is logged and refused again whenever it is asked for: its sets end with a reason (or
        wait for the device), while forwarding goes on.
        """
        for task in self._shelf().tasks:
            try:
                self.classifier(self.model_for(task))
            except (ModelError, ResourceError) as exc:
                # our own text: names of model folders, files and devices
                get_logger().error("model refused", action="classify", task=task, error=str(exc))

    def model_for(self, task: str) -> str:
        """Digest of the model that answers for a task; ModelError (reason no_model) when there is none."""
        return self._shelf().answers(task).card.digest

    def installed(self, model: str) -> Installed:
        """The model of a card digest; ModelError when it is not installed any more."""
        return self._shelf().model(model)

    def classifier(self, model: str) -> Classifier:
        """The proven classifier of a card digest.

        Raises:
            CardMismatch: its files or the device do not fit the card, or a report could not say what it finds.
        """
        with self._loading:
            one = self.installed(model)  # also of a loaded one: it may have been retired or changed since
            if model not in self._classifiers:
                for stated in one.card.classes:
                    class_terms(stated.id, stated.code.value, stated.code.scheme)
                self._classifiers[model] = self._load(one)
            return self._classifiers[model]

    def crop(self, path: Path, model: str, like: CropOutcome | None = None) -> tuple[CropOutcome, Kept | None]:
        """Decode and crop one stored object, as many frames as the model's card asks for.

        Args:
            path: of the object.
            model: digest of the card.
            like: an earlier outcome of the same object, to be had again whatever was approved since.
        """
        layouts = None if like is None else named_in(like, self._cropper.approved())
        return self._cropper.crop(path, self.classifier(model).card.crop.frames.limit, layouts)

    def score(self, kept: Kept, model: str) -> Scores:
        """Score kept pixels; heat is made for every class that reaches its threshold in a frame."""
        scored = self.classifier(model).score(kept)
        return Scores(scored.frames, {index: scored.heat(index) for index in self.shown(scored.frames, model)})

    def shown(self, frames: Sequence[FrameScore], model: str) -> list[int]:
        """The classes of which an image with these scores has heat: those that reach their threshold in a frame."""
        rules = self.classifier(model).rules
        if not image_score("", frames, rules).is_assessable:
            return []
        return [
            index
            for index, threshold in enumerate(rules.thresholds)
            if any(frame.probabilities[index] >= threshold for frame in frames)
        ]

    def head(self, case: Case, model: str) -> report.Analysis:
        """What the report and the captures of a case share, its key among it."""
        chosen = self.installed(model)
        card = chosen.card
        key = analysis_key(
            [(one.instance.sop_instance_uid, one.digest, one.outcome_digest) for one in case.members],
            task=case.task,
            card_digest=card.digest,
            pipeline=PIPELINE_VERSION,
            report=f"{report.REPORT_VERSION} {self._style.rendering.name}",
            language=self._style.language,
        )
        return report.Analysis(
            namespace=self._site.namespace,
            key=key,
            language=self._style.language,
            content_time=case.content_time.isoformat(),
            software_version=__version__,
            serial=self._site.store_id,
            station=self._station,
            revision=case.revision,
            model=report.ModelFacts.of(card, chosen.grade),
            rendering=self._style.rendering,
        )
