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
    │     └─ NoImageArea
    ├─ ResourceError                    RETRY       0xA700  we are unwell
    │  ├─ OutOfSpace
    │  ├─ LedgerUnavailable
    │  └─ DeviceUnavailable
    ├─ PeerError                        RETRY       –       the other side of deliver or archive
    │  ├─ PeerUnreachable               RETRY
    │  ├─ PeerRefused                   QUARANTINE
    │  └─ PeerFailed                    by the status table of `deliver.status`
    └─ ModelError                       STOP        –
       ├─ CardMismatch                  STOP
       └─ NonFiniteOutput               QUARANTINE
"""

from dataclasses import dataclass
from enum import Enum


class After(Enum):
    """What the workflow does with the job once this error is raised."""

    RETRY = "retry"  # our side or the peer is unwell; the same bytes may pass later
    QUARANTINE = "quarantine"  # this object will never pass; keep it, tell a person
    STOP = "stop"  # the service must not run in this state


@dataclass(frozen=True)
class Reason:
    """One entry of the closed list of reasons: what happened (English, Chinese) and what a person can do."""

    code: str
    stage: str
    meaning: str
    meaning_zh: str
    remedy: str


_REASONS = (
    Reason(
        "unreadable", "receive", "The bytes are not a readable DICOM data set", "字节不是可读的DICOM数据集",
        "Export the object again from the scanner or the PACS and send it again.",
    ),
    Reason(
        "sop_mismatch", "receive", "The data set names another SOP class or instance than the request",
        "数据集与请求的SOP类或实例不一致", "Report it to the maker of the sending device: its C-STORE is wrong.",
    ),
    Reason(
        "conflict", "receive", "An object with the same SOP Instance UID but other content is kept already",
        "已存在相同SOP实例UID但内容不同的对象", "Compare both objects; send the right one under a UID of its own.",
    ),
    Reason(
        "no_space", "store", "The data folder has no room for another object", "数据目录空间不足",
        "Free space or enlarge the disk; the sender repeats the object.",
    ),
    Reason(
        "store_failed", "store", "The object could not be written or committed", "对象无法写入或提交",
        "Look at the disk and the ledger of the service; the sender repeats the object.",
    ),
    Reason(
        "not_ultrasound", "receive", "The object is not an ultrasound image; it is forwarded but never analysed",
        "不是超声图像；仅转发，不分析", "Nothing to do, unless the scanner stores its images under a wrong SOP class.",
    ),
    Reason(
        "own_result", "receive", "The object is a result of this service; it is never analysed again",
        "对象是本服务的结果；不再分析", "Stop the route that sends results back to this service.",
    ),
    Reason(
        "no_task", "receive", "No route says which task this object belongs to", "没有规则指明该对象的任务",
        "Add a route for this device or exam to deploy/site.toml and run `dicom-ai apply`, or pass --task.",
    ),
    Reason(
        "mixed_patient", "store", "The study holds objects of more than one Patient ID", "同一检查包含多个患者ID",
        "Correct the patient on the scanner or in the PACS and send the study again.",
    ),
    Reason(
        "unsupported_syntax", "crop", "No decoder for this transfer syntax", "没有该传输语法的解码器",
        "Let the scanner send uncompressed, RLE or JPEG Baseline.",
    ),
    Reason(
        "decode_failed", "crop", "The pixel data could not be decoded", "像素数据无法解码",
        "Look at the object in a viewer; export it again if it is damaged.",
    ),
    Reason(
        "decoder_died", "crop", "The decoding process died or reached its memory limit", "解码进程崩溃或超出内存限制",
        "Raise crop.memory_mib if the object is large and sound; otherwise report the object.",
    ),
    Reason(
        "decode_timeout", "crop", "Decoding took longer than allowed", "解码超时",
        "Raise crop.timeout_s if the object is large and sound; otherwise report the object.",
    ),
    Reason(
        "no_regions", "crop", "The object states no ultrasound region", "对象未声明超声区域",
        "Switch on region calibration in the scanner's DICOM settings.",
    ),
    Reason(
        "regions_not_believed", "crop", "No stated ultrasound region can be believed", "声明的超声区域不可信",
        "A router or archive may have resized the picture; send the original.",
    ),
    Reason(
        "no_picture", "crop", "No ultrasound picture was found in the pixels", "像素中未找到超声图像",
        "Look at the object: the probe may have been in the air, or the picture is too dark or too small.",
    ),
    Reason(
        "witnesses_disagree", "crop", "The stated region and the picture found in the pixels do not agree",
        "声明区域与像素中的图像不一致", "Look at the object; the layout may be new or the picture may be overlaid.",
    ),
    Reason(
        "no_model", "classify", "No validated model is installed for this task and destination",
        "该任务和目的地未安装经验证的模型", "Install a research or clinical model, or mark the destination as test.",
    ),
    Reason(
        "non_finite", "classify", "The network gave an output that is not a number", "网络输出非数值",
        "Run `dicom-ai serve` again; if it repeats, install another model.",
    ),
    Reason(
        "analysis_failed", "classify", "The analysis failed again and again", "分析多次失败",
        "Look at the log of the service for the class of the error and report it.",
    ),
    Reason(
        "class_refused", "deliver", "The destination accepts none of the forms this object can take",
        "目的地不接受该对象的任何形式", "Let the PACS accept the SOP class, or set forward = \"none\" for it.",
    ),
    Reason(
        "peer_failed", "deliver", "The destination answered with a failure that will not pass", "目的地返回永久性失败",
        "Look at the status in `deliveries`; correct the cause and retry.",
    ),
    Reason(
        "no_destination", "deliver", "The destination was taken out of the site's tables", "目的地已从站点配置中移除",
        "Nothing to do if that was meant; else put it back into deploy/site.toml and run `dicom-ai apply`.",
    ),
    Reason(
        "attempts_spent", "deliver", "The destination could not be reached or stayed unwell for the retention time",
        "在保留时间内目的地不可达或异常", "Restore the destination, then retry the delivery.",
    ),
)  # fmt: skip

REASONS: dict[str, Reason] = {reason.code: reason for reason in _REASONS}


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


class ResourceError(DicomAIError):
    """The service is unwell; the same object may pass later."""

    after = After.RETRY
    dimse_status = 0xA700
    reason = "store_failed"


class OutOfSpace(ResourceError):
    """The store has no room for another object."""

    reason = "no_space"


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


class NonFiniteOutput(ModelError):
    """The network gave an output that is not a finite number."""

    after = After.QUARANTINE
    reason = "non_finite"
