"""What is known of the members of a set: crops and scores from the ledger, kept pixels and heat from work files.

What is missing is made from the stored object and committed at once; a work file that is gone is made again. What
this is not: findings (`reporting`), or what becomes of the set (`answer`).
"""

from dataclasses import replace
from datetime import datetime

from dicom_ai import points
from dicom_ai.analysis import Analyst, Case, Examined, Heat
from dicom_ai.errors import DicomAIError, LedgerUnavailable, NonFiniteOutput, ResourceError
from dicom_ai.finding import FrameScore
from dicom_ai.kept import CropOutcome, Kept
from dicom_ai.ledger import Ledger
from dicom_ai.store import analyses
from dicom_ai.store.database import read, write
from dicom_ai.store.files import ORPHAN_AGE_S, ObjectStore
from dicom_ai.store.workfiles import WorkFiles

_PASSING = ("decoder_died", "decode_timeout")  # of an object that was cropped once: the machine's fault, not its own
_OF_ONE_IMAGE = "non_finite"  # a member quarantined for this is left out, the others are reported


class Evidence:
    """Crops and scores members; every method may be repeated."""

    def __init__(self, ledger: Ledger, files: ObjectStore, analyst: Analyst, work: WorkFiles) -> None:
        """Take the real parts."""
        self._ledger, self._files, self._analyst, self._work = ledger, files, analyst, work

    def source_set(self, set_id: str) -> analyses.SourceSet:
        """The set with its members."""
        with read(self._ledger.engine) as connection:
            return analyses.source_set(connection, set_id)

    def crop(self, member: analyses.Member, model: str) -> bool:
        """Decode and crop a member unless that was done before; whether it may be analysed."""
        outcome = self._outcome(member)
        if outcome is None:
            outcome, kept = self._analyst.crop(self._files.path(member.digest), model)
            if kept is not None:
                self._work.save(_name(member, model), kept, {})
            with write(self._ledger.engine) as connection:
                analyses.save_crop(connection, member.digest, outcome, self._ledger.clock())
        return outcome.status == "cropped"

    def score(self, member: analyses.Member, model: str) -> bool:
        """Score the kept pixels of a member unless that was done before; whether it was done now.

        An image for which the network gives no finite number is quarantined, and no other image with it.
        """
        outcome = self._outcome(member)
        if outcome is None or outcome.status != "cropped" or member.fault == _OF_ONE_IMAGE:
            return False
        if self._frames(member, outcome, model) is not None:
            return False
        try:
            kept, heat, frames = self._made(member, outcome, model)
        except NonFiniteOutput as exc:
            with write(self._ledger.engine) as connection:
                analyses.quarantine(connection, member.digest, exc.reason or _OF_ONE_IMAGE, self._ledger.clock())
            return False
        points.reached("after-inference")
        self._work.save(_name(member, model), kept, heat)  # before the scores, which say that it holds heat
        with write(self._ledger.engine) as connection:
            crop = analyses.outcome_digest(outcome)
            analyses.save_scores(connection, member.digest, crop, model, frames)
        return True

    def case(self, found: analyses.SourceSet, model: str, now: datetime) -> Case:
        """The set with everything that was said of its members.

        Raises:
            LedgerUnavailable: a member was not cropped and scored; those steps come before this one.
        """
        members = []
        for member in found.members:
            outcome = self._outcome(member)
            if outcome is None:
                raise LedgerUnavailable("a crop that was committed is gone")
            frames: tuple[FrameScore, ...] | None = ()
            if outcome.status == "cropped" and member.fault == _OF_ONE_IMAGE:
                outcome = left_out(outcome, member.fault)
            elif outcome.status == "cropped":
                frames = self._frames(member, outcome, model)
            if frames is None:
                raise LedgerUnavailable("scores that were committed are gone")
            members.append(_examined(member, outcome, frames))
        return Case(found.task, tuple(members), found.revision, now)

    def case_given_up(self, found: analyses.SourceSet, reason: str, now: datetime) -> Case:
        """The set without any score: what the crop had nothing against is left out for `reason`."""
        members = []
        for member in found.members:
            outcome = self._outcome(member) or CropOutcome("cropped", None, 0, 0, 0)
            if outcome.status == "cropped":
                outcome = left_out(outcome, member.fault or reason)
            members.append(_examined(member, outcome, ()))
        return Case(found.task, tuple(members), found.revision, now)

    def pixels(self, member: Examined, model: str) -> tuple[Kept, Heat]:
        """Kept pixels and heat of a member that was scored."""
        kept, heat, _ = self._made(member, member.outcome, model)
        return kept, heat

    def forget(self, found: analyses.SourceSet, model: str) -> None:
        """Remove the work files of a set whose analysis stands."""
        for member in found.members:
            self._work.remove(_name(member, model))

    def sweep(self) -> None:
        """Remove the work files of sets that ended otherwise than by a report."""
        self._work.sweep(ORPHAN_AGE_S)

    def _outcome(self, member: analyses.Member) -> CropOutcome | None:
        with read(self._ledger.engine) as connection:
            return analyses.crop_of(connection, member.digest)

    def _frames(
        self, member: analyses.Member | Examined, outcome: CropOutcome, model: str
    ) -> tuple[FrameScore, ...] | None:
        with read(self._ledger.engine) as connection:
            return analyses.scores_of(connection, member.digest, analyses.outcome_digest(outcome), model)

    def _made(
        self, member: analyses.Member | Examined, outcome: CropOutcome, model: str
    ) -> tuple[Kept, Heat, tuple[FrameScore, ...]]:
        """Kept pixels, heat and scores: from the work file as far as it goes, else made again from the object."""
        found = self._work.load(_name(member, model), outcome)
        kept = found[0] if found else None
        if kept is None:
            again, kept = self._analyst.crop(self._files.path(member.digest), model, outcome)
            if kept is None or again.row() != outcome.row():
                kind = ResourceError if again.reason in _PASSING else DicomAIError
                raise kind("an object was cropped otherwise than before", reason=again.reason or "analysis_failed")
        frames = self._frames(member, outcome, model)
        if found and frames:
            return kept, found[1], frames
        if frames and not self._analyst.shown(frames, model):
            return kept, {}, frames  # of an earlier revision, without heat: the network has nothing to add
        scores = self._analyst.score(kept, model)
        return kept, dict(scores.heat), frames or scores.frames


def _examined(member: analyses.Member, outcome: CropOutcome, frames: tuple[FrameScore, ...]) -> Examined:
    return Examined(member.digest, member.instance, outcome, analyses.outcome_digest(outcome), frames)


def left_out(outcome: CropOutcome, reason: str) -> CropOutcome:
    """As if the crop had refused it: the analysis key is another one than that of the image analysed."""
    return replace(outcome, status="quarantined", reason=reason, keep=(), blanked=(), box=None)


def _name(member: analyses.Member | Examined, model: str) -> str:
    return f"{member.digest}-{model[:16]}"
