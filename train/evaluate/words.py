"""The page's words in English and Chinese. What this is not: names of classes and fields; they stay as they are."""

from typing import Literal

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")

_WORDS: dict[str, tuple[str, str]] = {
    "title": ("Evaluation", "评估报告"),
    "read": ("How to read this", "阅读说明"),
    "compared": ("Runs beside each other", "多次训练比较"),
    "gap": ("What a split by image pretends", "按图像划分造成的虚高"),
    "table_l": ("Each class against the rest", "各类别（一对其余）"),
    "table_u": ("Macro means", "宏平均"),
    "published": ("As published", "论文发表值"),
    "confusion": ("Confusion matrix", "混淆矩阵"),
    "curves": ("ROC and precision-recall", "ROC 与精确率-召回率曲线"),
    "pairs": ("One sign against one other", "两类单独征象之间"),
    "groups": ("Per source, device and probe", "按来源、设备、探头"),
    "folds": ("Fold by fold", "各折结果"),
    "calibration": ("Calibration", "概率校准"),
    "features": ("Features (t-SNE)", "特征分布（t-SNE）"),
    "gallery": ("Where the network looked", "网络关注区域"),
    "learning": ("Learning curves", "学习曲线"),
    "frame": ("frames", "帧"),
    "clip": ("clips", "片段"),
    "class": ("class", "类别"),
    "precision": ("precision", "精确率"),
    "specificity": ("specificity", "特异度"),
    "f1": ("F1", "F1"),
    "recall": ("recall", "召回率"),
    "accuracy": ("accuracy", "准确率"),
    "auc": ("AUC", "AUC"),
    "average_precision": ("average precision", "平均精确率"),
    "kappa": ("kappa", "kappa"),
    "mean": ("mean", "均值"),
    "whole": ("all", "总体"),
    "patients": ("patients", "患者"),
    "not_estimable": ("not estimable", "无法估计"),
    "truth": ("truth", "真实"),
    "none_called": ("none", "未判定"),
    "run": ("run", "训练"),
    "fold": ("fold", "折"),
    "spread": ("mean ± standard deviation", "均值 ± 标准差"),
    "pretended": ("difference", "差值"),
    "difference": ("difference to the first", "与首个之差"),
    "by_image": ("by image", "按图像"),
    "by_patient": ("by patient", "按患者"),
    "figure": ("figure", "指标"),
    "before": ("before", "校准前"),
    "after": ("after", "校准后"),
    "card": ("card's", "模型卡"),
    "default": ("without a card", "无模型卡"),
    "of_card": ("of the card", "来自模型卡"),
    "most_probable": ("none, the most probable class", "无，取概率最高的类别"),
    "ece": ("calibration error", "校准误差"),
    "brier": ("Brier score", "Brier 分数"),
    "nll": ("cross-entropy", "交叉熵"),
    "temperature": ("temperature", "温度"),
    "said": ("mean probability", "平均预测概率"),
    "so": ("share present", "实际阳性比例"),
    "one_minus": ("1 - specificity", "1 - 特异度"),
    "epoch": ("epoch", "轮次"),
    "missed": ("missed", "漏判"),
    "false": ("called and not there", "误判"),
    "found": ("found", "判对"),
    "several": ("several", "多个"),
    "none": ("none", "无"),
    "nothing": ("not there", "无数据"),
    "network": ("network", "网络"),
    "validation": ("the validation part", "验证集"),
    "other_folds": ("the other folds", "其他折"),
    "other_half": ("the other half of the patients", "另一半患者"),
}
_ENGLISH: dict[str, str] = {
    "rule": "Figures in per cent but for kappa, calibration error, Brier score and cross-entropy; in brackets the "
    "{level} % interval over {resamples} resamples of patients (seed {seed}). A class with fewer than {fewest} "
    "patients who show it, or fewer than {fewest} asked who do not, is not estimable; it stands with patients who "
    "show it / patients asked, and is left out of means. Labels that nobody asked about are left out everywhere.",
    "decided": "Thresholds ({by}): {thresholds}; frames become a clip by {pooling}; no picture is turned away here.",
    "rows": "Rows truth, columns prediction; {n} of {total} with exactly one class.",
    "means": "Means over: {classes}.",
    "not_ours": "Other images and other patients: beside ours for orientation, not for comparison.",
    "fitted": "The temperature {value} was fitted on {on}.",
    "gap_said": "Split by image, neighbours of a judged frame were learned from. Only the column by patient says "
    "something of new patients; the difference is what the other one pretends.",
    "one_fold": "Frames of fold {fold}, a sample.",
    "derived": "Contains pictures of the data set: its licence applies to this page.",
    "by_image_run": "This run was split by image; its figures say nothing of new patients.",
}
_CHINESE: dict[str, str] = {
    "rule": "除 kappa、校准误差、Brier 分数和交叉熵外，数值均为百分数；括号内为按患者重抽样 {resamples} 次"
    "（种子 {seed}）的 {level}% 区间。阳性患者或（已询问的）阴性患者少于 {fewest} 人的类别无法估计，"
    "只列出阳性患者数/已询问患者数，且不计入均值。未询问的标签一律不计。",
    "decided": "阈值（{by}）：{thresholds}；由帧到片段的规则：{pooling}；此处不拒判任何图像。",
    "rows": "行为真实类别，列为预测类别；{total} 个中有 {n} 个恰好一类。",
    "means": "均值所含类别：{classes}。",
    "not_ours": "图像与患者均不同：仅供参照，不可直接比较。",
    "fitted": "温度 {value} 拟合于：{on}。",
    "gap_said": "按图像划分时，训练集中含有被评估帧的相邻帧。只有按患者划分的一列能说明对新患者的表现；"
    "差值即按图像划分造成的虚高。",
    "one_fold": "第 {fold} 折的抽样帧。",
    "derived": "本页含有数据集的图像：须遵守其许可。",
    "by_image_run": "此次训练按图像划分，其数值不能说明对新患者的表现。",
}


def word(key: str, language: Language) -> str:
    """One word; a key that is none of ours (a class, a file) is itself."""
    pair = _WORDS.get(key)
    return key if pair is None else pair[LANGUAGES.index(language)]


def sentence(key: str, language: Language, **values: object) -> str:
    """One sentence with its values."""
    return {"en": _ENGLISH, "zh": _CHINESE}[language][key].format(**values)
