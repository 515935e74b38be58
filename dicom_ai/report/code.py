"""The reviewed code table: every coded concept a result may carry, each with its meaning in English and Chinese.

No validator checks that a code means what it says, so codes live here only and are reviewed by people. A code of
the private scheme 99DICOMAI is never re-used or redefined; every document that carries one identifies the scheme.
What this is not: sentences for people (`wording`).
"""

from dataclasses import dataclass
from typing import Literal

from highdicom.sr import CodedConcept

from dicom_ai.errors import CardMismatch
from dicom_ai.finding import State

Language = Literal["en", "zh"]

SCHEME = "99DICOMAI"
SCHEME_NAME = "dicom-ai private codes"
SCHEME_ORGANISATION = "dicom-ai project"


@dataclass(frozen=True)
class Term:
    """One coded concept. Lengths (PS3.3 8): value and scheme at most 16, each meaning at most 64 characters."""

    value: str
    scheme: str
    en: str
    zh: str

    def meaning(self, language: str) -> str:
        """Code Meaning in `language` ("en" or "zh")."""
        return self.zh if language == "zh" else self.en

    def concept(self, language: str = "en") -> CodedConcept:
        """The concept as an item of a code sequence."""
        return CodedConcept(self.value, self.scheme, self.meaning(language))


@dataclass(frozen=True)
class ClassTerms:
    """What a class of a network is called, how its probability is called, and where in the body it is seen.

    Attributes:
        short: the plain name in English and Chinese, for sentences and pictures.
    """

    finding: Term
    probability: Term
    site: Term
    short: tuple[str, str]

    def name(self, language: str) -> str:
        """The plain name in `language` ("en" or "zh")."""
        return self.short[1] if language == "zh" else self.short[0]


LUNG = Term("39607008", "SCT", "Lung", "肺")
PLEURA = Term("3120008", "SCT", "Pleura", "胸膜")
UTERUS = Term("35039007", "SCT", "Uterus", "子宫")
ENDOMETRIUM = Term("2739003", "SCT", "Endometrium", "子宫内膜")

A_LINES = Term("ALINE", SCHEME, "A-lines on lung ultrasound", "肺部超声A线")
B_LINES = Term("BLINE", SCHEME, "B-lines on lung ultrasound", "肺部超声B线")
PLEURAL_EFFUSION = Term("60046008", "SCT", "Pleural effusion", "胸腔积液")
CONSOLIDATION = Term("95436008", "SCT", "Lung consolidation", "肺实变")
ENDOMETRIAL_POLYP = Term("N84.0", "I10", "Polyp of corpus uteri", "子宫体息肉")
SUBMUCOUS_FIBROID = Term("D25.0", "I10", "Submucous leiomyoma of uterus", "子宫黏膜下平滑肌瘤")
NORMAL = Term("17621005", "SCT", "Normal", "正常")

P_A_LINES = Term("P-ALINE", SCHEME, "Probability of A-lines", "A线概率")
P_B_LINES = Term("P-BLINE", SCHEME, "Probability of B-lines", "B线概率")
P_PLEURAL_EFFUSION = Term("P-EFFUSION", SCHEME, "Probability of pleural effusion", "胸腔积液概率")
P_CONSOLIDATION = Term("P-CONSOLIDATION", SCHEME, "Probability of lung consolidation", "肺实变概率")
P_ENDOMETRIAL_POLYP = Term("P-ENDOPOLYP", SCHEME, "Probability of endometrial polyp", "子宫内膜息肉概率")
P_SUBMUCOUS_FIBROID = Term("P-SUBMUCFIBROID", SCHEME, "Probability of submucous fibroid", "黏膜下肌瘤概率")
P_NORMAL = Term("P-NORMAL", SCHEME, "Probability of normal", "正常概率")

CLASSES: dict[str, ClassTerms] = {
    "a_lines": ClassTerms(A_LINES, P_A_LINES, LUNG, ("A-lines", "A线")),
    "b_lines": ClassTerms(B_LINES, P_B_LINES, LUNG, ("B-lines", "B线")),
    "pleural_effusion": ClassTerms(PLEURAL_EFFUSION, P_PLEURAL_EFFUSION, PLEURA, ("Pleural effusion", "胸腔积液")),
    "consolidation": ClassTerms(CONSOLIDATION, P_CONSOLIDATION, LUNG, ("Consolidation", "肺实变")),
    "endometrial_polyp": ClassTerms(
        ENDOMETRIAL_POLYP, P_ENDOMETRIAL_POLYP, ENDOMETRIUM, ("Endometrial polyp", "子宫内膜息肉")
    ),
    "submucous_fibroid": ClassTerms(
        SUBMUCOUS_FIBROID, P_SUBMUCOUS_FIBROID, UTERUS, ("Submucous fibroid", "黏膜下肌瘤")
    ),
    "normal": ClassTerms(NORMAL, P_NORMAL, UTERUS, ("Normal", "正常")),
}

TASK_SITES: dict[str, Term] = {"lung-signs": LUNG, "uterine-lesions": UTERUS}
"""Where a picture was taken that shows no class."""

TASK_BODY_PARTS: dict[str, str] = {"lung-signs": "CHEST", "uterine-lesions": "UTERUS"}
"""Body Part Examined of an object about a whole study: unpaired regions, which need no laterality."""

STATES: dict[State, Term] = {
    State.PRESENT: Term("52101004", "SCT", "Present", "存在"),
    State.ABSENT: Term("272519000", "SCT", "Absent", "不存在"),
    State.INDETERMINATE: Term("82334004", "SCT", "Indeterminate", "不确定"),
}

LANGUAGES: dict[str, Term] = {
    "en": Term("en-US", "RFC5646", "English (United States)", "English (United States)"),
    "zh": Term("zh-CN", "RFC5646", "Chinese (S)", "Chinese (S)"),  # as CID 5000 has it
}

# CID 100 has no ultrasound code, so the exact procedure stands in the header as LOINC.
PROCEDURE_REPORTED = Term("363679005", "SCT", "Imaging procedure", "影像检查")
PERFORMED_PROCEDURES: dict[str, Term] = {
    "lung-signs": Term("24630-6", "LN", "US Chest", "胸部超声"),
    "uterine-lesions": Term("24677-7", "LN", "US Pelvis transvaginal", "经阴道盆腔超声"),
}

QUALITATIVE_EVALUATIONS = Term("C0034375", "UMLS", "Qualitative Evaluations", "定性评估")
COMMENT = Term("121106", "DCM", "Comment", "说明")
FINDING = Term("121071", "DCM", "Finding", "所见")
MEASUREMENT_GROUP = Term("125007", "DCM", "Measurement Group", "测量组")
IMAGING_MEASUREMENTS = Term("126010", "DCM", "Imaging Measurements", "影像测量")
CERTAINTY = Term("111012", "DCM", "Certainty of Finding", "所见的确定性")
ILLUSTRATION = Term("121200", "DCM", "Illustration of ROI", "感兴趣区图示")
SOURCE = Term("260753009", "SCT", "Source", "来源")
IMAGE_LIBRARY = Term("111028", "DCM", "Image Library", "图像库")
IMAGE_LIBRARY_GROUP = Term("126200", "DCM", "Image Library Group", "图像库组")
MODALITY = Term("121139", "DCM", "Modality", "设备类型")
ULTRASOUND = Term("US", "DCM", "Ultrasound", "超声")
PIXEL_ROWS = Term("110910", "DCM", "Pixel Data Rows", "像素行数")
PIXEL_COLUMNS = Term("110911", "DCM", "Pixel Data Columns", "像素列数")
PIXELS = Term("{pixels}", "UCUM", "Pixels", "像素")
PERCENT = Term("%", "UCUM", "Percent", "百分比")
REPORT_TITLE = Term("126000", "DCM", "Imaging Measurement Report", "影像测量报告")
ARTIFICIAL_INTELLIGENCE = Term("123110", "DCM", "Artificial Intelligence", "人工智能")

# CID 7005: it has no code for an algorithm as equipment; the IHE AIR supplement's own is a temporary one.
PROCESSING_EQUIPMENT = Term("109102", "DCM", "Processing Equipment", "处理设备")
ACQUISITION_EQUIPMENT = Term("109101", "DCM", "Acquisition Equipment", "采集设备")
SOURCE_FOR_PROCESSING = Term("121322", "DCM", "Source image for image processing operation", "图像处理的源图像")
CLASS_ACTIVATION = Term("130402", "DCM", "Class activation", "类激活")

LANGUAGE = Term("121049", "DCM", "Language of Content Item and Descendants", "内容项及其下级的语言")
DEVICE_OBSERVER_UID = Term("121012", "DCM", "Device Observer UID", "设备观察者UID")
TRACKING_IDENTIFIER = Term("112039", "DCM", "Tracking Identifier", "跟踪标识")
TRACKING_UID = Term("112040", "DCM", "Tracking Unique Identifier", "跟踪唯一标识")
ALGORITHM_PARAMETERS = Term("111002", "DCM", "Algorithm Parameters", "算法参数")
FINDING_SITE = Term("363698007", "SCT", "Finding Site", "所见部位")

AI_ASSESSMENT = Term("AI-ASSESS", SCHEME, "Assessment of the AI finding by a reader", "阅片者对AI所见的评定")
AI_FINDING = Term("AI-FINDING", SCHEME, "Finding of the AI", "AI所见")
ASSESSMENTS: dict[str, Term] = {
    "ACCEPTED": Term("ACCEPTED", SCHEME, "Accepted", "接受"),
    "MODIFIED": Term("MODIFIED", SCHEME, "Modified", "修改"),
    "REJECTED": Term("REJECTED", SCHEME, "Rejected", "拒绝"),
}
"""What a reader says of a finding. There is no code for "not assessed": what was not assessed is not in a verdict."""

REJECTED_FOR_SAFETY = Term("113037", "DCM", "Rejected for Patient Safety Reasons", "因患者安全原因拒绝")
KEY_OBJECT_DESCRIPTION = Term("113012", "DCM", "Key Object Description", "关键对象说明")

TERMS: tuple[Term, ...] = (
    *dict.fromkeys(term for terms in CLASSES.values() for term in (terms.finding, terms.probability, terms.site)),
    *STATES.values(),
    *LANGUAGES.values(),
    *PERFORMED_PROCEDURES.values(),
    *(PROCEDURE_REPORTED, QUALITATIVE_EVALUATIONS, COMMENT, FINDING, MEASUREMENT_GROUP, IMAGING_MEASUREMENTS),
    *(CERTAINTY, ILLUSTRATION, SOURCE, IMAGE_LIBRARY, IMAGE_LIBRARY_GROUP, MODALITY, ULTRASOUND, PIXEL_ROWS),
    *(PIXEL_COLUMNS, PIXELS, PERCENT, REPORT_TITLE, ARTIFICIAL_INTELLIGENCE, PROCESSING_EQUIPMENT),
    *(ACQUISITION_EQUIPMENT, SOURCE_FOR_PROCESSING, CLASS_ACTIVATION, AI_ASSESSMENT, AI_FINDING),
    *(*ASSESSMENTS.values(), REJECTED_FOR_SAFETY, KEY_OBJECT_DESCRIPTION, LANGUAGE, DEVICE_OBSERVER_UID),
    *(TRACKING_IDENTIFIER, TRACKING_UID, ALGORITHM_PARAMETERS, FINDING_SITE),
)
"""Every term above; a test holds each to the length limits and to being there once."""


def class_terms(class_id: str, value: str = "", scheme: str = "") -> ClassTerms:
    """Terms of a class, checked against the code its model card states.

    Args:
        class_id: of the contract, for example "b_lines".
        value: code value of the card, "" to skip the check.
        scheme: coding scheme designator of the card.

    Raises:
        CardMismatch: the class is not in the reviewed table, or the card codes it differently.
    """
    terms = CLASSES.get(class_id)
    if terms is None:
        raise CardMismatch(f"class {class_id} is not in the reviewed code table")
    if value and (value, scheme) != (terms.finding.value, terms.finding.scheme):
        raise CardMismatch(
            f"class {class_id} is coded ({value}, {scheme}) in the card and "
            f"({terms.finding.value}, {terms.finding.scheme}) in the reviewed table"
        )
    return terms


def class_of(value: str, scheme: str) -> str | None:
    """The class that a finding's code names, None when it is none of ours."""
    return next((name for name, t in CLASSES.items() if (t.finding.value, t.finding.scheme) == (value, scheme)), None)
