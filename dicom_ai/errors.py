"""What can go wrong, what the peer is told, and what the service does next.

Every class knows the DIMSE status a C-STORE is answered with (PS3.7 Annex C, PS3.4 B.2.3), what follows (`After`)
and the reason code a person sees, so that nobody needs an if-ladder. Class docstrings are the messages; logs carry
`reason` and our own ids, never an element value.

    DicomAIError                        QUARANTINE  0x0110
    ├─ SettingsError                    STOP        –       start-up only, exit 2, all problems at once
    ├─ DataFolderInUse                  STOP        –       exit 3, likewise
    ├─ InputError                       QUARANTINE  0xC000  the object is at fault
    │  ├─ UnreadableInstance            QUARANTINE  0xC210
    │  ├─ WrongKind                     QUARANTINE  0xA900  command and data set disagree
    │  ├─ ConflictingInstance           QUARANTINE  0x0111  same UID, other bytes
    │  └─ NotAnalysable                 QUARANTINE  0x0000  kept and forwarded, not analysed
    │     ├─ UnsupportedPixels
    │     ├─ NoImageArea
    │     └─ UnreadableIdentity
    ├─ TaskDisabled                     QUARANTINE  –       nobody wants an analysis
    ├─ ResourceError                    RETRY       0xA700  we are unwell
    │  ├─ OutOfSpace
    │  ├─ ObjectTooLarge
    │  ├─ LedgerUnavailable
    │  └─ DeviceUnavailable
    ├─ PeerError                        RETRY       –       the other side of deliver or archive
    │  ├─ PeerUnreachable               RETRY
    │  ├─ PeerRefused                   QUARANTINE
    │  └─ PeerFailed                    by the status table of `deliver.status`
    └─ ModelError                       STOP        –
       ├─ CardMismatch                  STOP
       ├─ UntrustedModel                STOP
       └─ NonFiniteOutput               QUARANTINE
"""

from enum import Enum

from dicom_ai.reasons import REASONS


class After(Enum):
    """What the workflow does with the job once this error is raised."""

    RETRY = "retry"  # our side or the peer is unwell; the same bytes may pass later
    QUARANTINE = "quarantine"  # this object will never pass; keep it, tell a person
    STOP = "stop"  # the service must not run in this state


class DicomAIError(Exception):
    """Unexpected failure of the service."""

    after: After = After.QUARANTINE
    dimse_status: int = 0x0110  # Processing Failure, PS3.7 Annex C
    reason: str | None = None

    def __init__(self, detail: str = "", *, reason: str | None = None) -> None:
        """Say what happened.

        Args:
            detail: what is particular to this case; never an element value that could identify a patient.
            reason: a code of `REASONS`, where the class alone does not decide it.
        """
        if reason is not None:
            self.reason = REASONS[reason].code
        self.detail = detail
        said = (type(self).__doc__ or type(self).__name__).strip().rstrip(".")
        super().__init__(f"{said}: {detail}" if detail else said)


class SettingsError(DicomAIError):
    """The settings cannot be used."""

    after = After.STOP


class DataFolderInUse(DicomAIError):
    """Another instance holds the data folder."""

    after = After.STOP


class InputError(DicomAIError):
    """The object cannot be processed."""

    dimse_status = 0xC000
    reason = "unreadable"


class UnreadableInstance(InputError):
    """The bytes are not a readable DICOM data set."""

    dimse_status = 0xC210


class WrongKind(InputError):
    """The data set does not match the SOP class or instance of the request."""

    dimse_status = 0xA900
    reason = "sop_mismatch"


class ConflictingInstance(InputError):
    """An object with this SOP Instance UID but other content is kept already."""

    dimse_status = 0x0111
    reason = "conflict"


class NotAnalysable(InputError):
    """The object is kept and forwarded but cannot be analysed."""

    dimse_status = 0x0000
    reason = "not_ultrasound"


class UnsupportedPixels(NotAnalysable):
    """The pixels cannot be decoded."""

    reason = "decode_failed"


class NoImageArea(NotAnalysable):
    """No scan area could be established, so nothing may be shown to a network."""

    reason = "witnesses_disagree"


class UnreadableIdentity(NotAnalysable):
    """The patient's identity cannot be read in the stated character set, so no result may carry it."""

    reason = "identity_unreadable"


class TaskDisabled(DicomAIError):
    """Analysis for this task is switched off."""

    reason = "disabled"


class ResourceError(DicomAIError):
    """The service is unwell; the same object may pass later."""

    after = After.RETRY
    dimse_status = 0xA700
    reason = "store_failed"


class OutOfSpace(ResourceError):
    """The store has no room for another object."""

    reason = "no_space"


class ObjectTooLarge(ResourceError):
    """The object is larger than accepted."""

    reason = "too_large"


class LedgerUnavailable(ResourceError):
    """The ledger cannot be written."""


class DeviceUnavailable(ResourceError):
    """The inference device cannot be used."""


class PeerError(DicomAIError):
    """The other side of an association failed."""

    after = After.RETRY
    reason = "peer_failed"


class PeerUnreachable(PeerError):
    """The peer cannot be reached or dropped the association."""

    reason = "attempts_spent"


class PeerRefused(PeerError):
    """The peer refused the association or every proposed SOP class."""

    after = After.QUARANTINE
    reason = "class_refused"


class PeerFailed(PeerError):
    """The peer answered with a failure status."""

    def __init__(self, status: int, after: After, detail: str = "") -> None:
        """Keep the DIMSE `status` (0x0000..0xFFFF) and what the status table says follows."""
        self.status, self.after = status, after
        super().__init__(f"0x{status:04X}" + (f" {detail}" if detail else ""))


class ModelError(DicomAIError):
    """The model cannot be used."""

    after = After.STOP
    reason = "no_model"


class CardMismatch(ModelError):
    """Weights, vectors or settings do not match the model's card."""


class UntrustedModel(ModelError):
    """No trusted signature proves what the model claims to be."""


class NonFiniteOutput(ModelError):
    """The network gave an output that is not a finite number."""

    after = After.QUARANTINE
    reason = "non_finite"
