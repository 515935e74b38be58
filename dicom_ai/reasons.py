"""The closed list of reasons: why an object was refused, quarantined, held or given up, and what a person can do.

What this is not: the errors that carry them (those are `errors`). `dicom-ai reasons` prints this list; a test shows
each reason produced by some input.
"""

from dataclasses import dataclass


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
        "已存在相同SOP实例UID但内容不同的对象",
        "Compare both with `dicom-ai conflicts list` and choose one with `dicom-ai conflicts resolve`.",
    ),
    Reason(
        "replaced", "receive", "A person chose another object of the same SOP Instance UID",
        "已由人工选择同一SOP实例UID的另一对象",
        "Nothing to do; the object stays in the store.",
    ),
    Reason(
        "no_space", "store", "The data folder has no room for another object", "数据目录空间不足",
        "Free space or enlarge the disk; the sender repeats the object.",
    ),
    Reason(
        "too_large", "receive", "The object is larger than accepted; nothing of it was kept",
        "对象超过允许的大小；未保存",
        "Raise receive.max_object_mib if the object is sound and the machine has the memory; send it again.",
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
        "secondary_capture", "receive",
        "The object is a captured screen (Secondary Capture) of ultrasound; it is forwarded but never analysed",
        "对象是超声检查的屏幕截图（二次获取）；仅转发，不分析",
        "Let the scanner store images that shall be analysed as Ultrasound Image or Ultrasound Multi-frame Image.",
    ),
    Reason(
        "ultrasound_volume", "receive", "The object is an ultrasound volume; it is forwarded but never analysed",
        "对象是超声容积数据；仅转发，不分析",
        "Nothing to do; let the scanner also store the images that shall be analysed.",
    ),
    Reason(
        "own_result", "receive", "The object is a result of this service; it is never analysed again",
        "对象是本服务的结果；不再分析", "Stop the route that sends results back to this service.",
    ),
    Reason(
        "no_task", "receive", "No route says which task this object belongs to", "没有规则指明该对象的任务",
        "Add a route for this device or exam to deploy/site.toml, run `dicom-ai apply`, then `dicom-ai studies again`; "
        "`dicom-ai analyse` takes --task.",
    ),
    Reason(
        "mixed_patient", "store", "The study holds objects of more than one Patient ID", "同一检查包含多个患者ID",
        "Look with `dicom-ai conflicts list`; say which patient is right with `dicom-ai conflicts resolve`.",
    ),
    Reason(
        "unsupported_syntax", "crop", "No decoder for this transfer syntax", "没有该传输语法的解码器",
        "Let the scanner send uncompressed, RLE or JPEG Baseline.",
    ),
    Reason(
        "malformed", "crop", "The data set breaks the rules by which DICOM is written; a strict reading ends in error",
        "数据集不符合DICOM编码规则；严格读取出错",
        "Report it to the maker of the device or router that wrote it; send the object as the scanner made it.",
    ),
    Reason(
        "pixel_length", "crop", "The pixel data do not fit Rows, Columns and Samples per Pixel",
        "像素数据与行数、列数及每像素样本数不符",
        "A router or archive may have changed the header or the picture; send the original.",
    ),
    Reason(
        "frame_count", "crop", "The pixel data hold another number of frames than the header states",
        "像素数据的帧数与头信息不符", "Send the object again from the scanner; report it to the maker if it repeats.",
    ),
    Reason(
        "frame_size", "crop", "The frames of the object are not all of one size", "对象各帧尺寸不一致",
        "Send the object again from the scanner; report it to the maker if it repeats.",
    ),
    Reason(
        "pixels_truncated", "crop", "The pixel data end too early", "像素数据被截断",
        "Send the object again; a transfer or a copy was cut short.",
    ),
    Reason(
        "colour_wrong", "crop", "Black is not black but coloured: the colours are not what the header states",
        "黑色显示为彩色：颜色与头信息声明不符",
        "Report it to the maker of the device or router that wrote it: Photometric Interpretation is wrong.",
    ),
    Reason(
        "background_not_black", "crop", "The screen is not black around the picture", "图像周围的屏幕背景不是黑色",
        "Look at the object: the picture may be inverted, or a page and no screen.",
    ),
    Reason(
        "decode_failed", "crop", "The pixel data could not be decoded", "像素数据无法解码",
        "Look at the object in a viewer; export it again if it is damaged.",
    ),
    Reason(
        "decoder_died", "crop", "The decoding process died or reached its memory limit", "解码进程崩溃或超出内存限制",
        "Raise crop.memory_mib if the object is large and sound, then run `dicom-ai studies again`; else report it.",
    ),
    Reason(
        "decode_timeout", "crop", "Decoding took longer than allowed", "解码超时",
        "Raise crop.timeout_s if the object is large and sound, then run `dicom-ai studies again`; else report it.",
    ),
    Reason(
        "no_regions", "crop", "The object states no ultrasound region", "对象未声明超声区域",
        "Switch on region calibration in the scanner's DICOM settings.",
    ),
    Reason(
        "region_overflow", "crop", "A stated ultrasound region reaches beyond the picture",
        "声明的超声区域超出图像范围",
        "A router or archive may have resized or cut the picture; send the original, or approve a layout.",
    ),
    Reason(
        "region_empty", "crop", "A stated ultrasound region has no area", "声明的超声区域没有面积",
        "Report it to the maker of the scanner; meanwhile approve a layout with `dicom-ai quarantine approve`.",
    ),
    Reason(
        "region_whole_frame", "crop", "The stated ultrasound region is nearly the whole screen and bounds nothing",
        "声明的超声区域几乎为整个屏幕，无界定作用",
        "Look at the object; if its layout is always the same, approve it with `dicom-ai quarantine approve`.",
    ),
    Reason(
        "unknown_model", "crop", "Nothing is known of the device, and the site wants a person to look first",
        "设备未知，站点要求先由人工查看",
        "Look at the object and approve its layout with `dicom-ai quarantine approve`, or set crop.unlisted.",
    ),
    Reason(
        "layout_disagrees", "crop", "The picture found in the pixels lies outside of the layout known for this device",
        "像素中的图像超出该设备的已知布局",
        "Look at the object; the scanner's screen may have changed. Withdraw the layout and approve the new one.",
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
        "text_on_tissue", "crop", "Something like text was found inside the ultrasound picture",
        "在超声图像内发现疑似文字",
        "Look at the object; store the image without annotations on the picture, or let a person decide.",
    ),
    Reason(
        "discarded", "crop", "A person looked at the object and decided that it is not analysed",
        "已由人工查看并决定不分析该对象", "Nothing to do; the object stays in the store and is forwarded.",
    ),
    Reason(
        "proof_failed", "crop", "The exported object could not be proven free of identity and was deleted",
        "导出对象无法证明不含身份信息，已删除",
        "Look at the codes under \"proof\" in the manifest and at the picture: text may stand over the tissue.",
    ),
    Reason(
        "disabled", "classify", "Analysis for this task is switched off", "该任务的分析已关闭",
        "Set models.<task>.enabled = true and start again, then run `dicom-ai studies again`.",
    ),
    Reason(
        "no_model", "classify", "No validated model is installed for this task and destination",
        "该任务和目的地未安装经验证的模型",
        "Install a research or clinical model, or mark the destination as test; then run `dicom-ai studies again`.",
    ),
    Reason(
        "non_finite", "classify", "The network gave an output that is not a number", "网络输出非数值",
        "Run `dicom-ai serve` again; if it repeats, install another model.",
    ),
    Reason(
        "identity_unreadable", "report", "The patient's identity cannot be read in the character set the object states",
        "患者身份信息无法按对象声明的字符集读取",
        "Correct the character set in the DICOM settings of the scanner or router and send the study again.",
    ),
    Reason(
        "analysis_failed", "classify", "The analysis failed again and again", "分析多次失败",
        "Report the class of the error from the service's log; once mended, run `dicom-ai studies again`.",
    ),
    Reason(
        "not_released", "deliver", "The destination takes results only after a person has released them",
        "该目的地的结果需人工放行后发送", "Look at the result, then run `dicom-ai deliveries release`.",
    ),
    Reason(
        "identity_conflict", "deliver", "Objects of this study contradict each other about patient or study",
        "该检查的对象在患者或检查身份上相互矛盾",
        "Resolve the conflict with `dicom-ai conflicts resolve`; results go out or are replaced then.",
    ),
    Reason(
        "class_refused", "deliver", "The destination accepts none of the forms this object can take",
        "目的地不接受该对象的任何形式", "Let the PACS accept the SOP class, or set forward = \"none\" for it.",
    ),
    Reason(
        "other_form", "deliver", "The destination refused the clip of heatmaps and gets stills of its key frames",
        "目的地拒绝热图动态图像，改为发送关键帧静态图像",
        "Nothing to do; let the PACS accept Multi-frame True Color Secondary Capture if the clips are wanted.",
    ),
    Reason(
        "peer_failed", "deliver", "The destination answered with a failure that will not pass", "目的地返回永久性失败",
        "Look at the status with `dicom-ai deliveries list`, correct the cause, then run `dicom-ai deliveries retry`.",
    ),
    Reason(
        "superseded", "deliver", "A later report of the same study took its place before it was delivered",
        "在送达之前已被同一检查的后续报告取代",
        "Nothing to do; the later report speaks for all images of the study.",
    ),
    Reason(
        "recalled", "deliver", "A person recalled the result because it is wrong", "结果有误，已由人工召回",
        "Nothing to do if it was never sent; where it had arrived a note went out: look whether the PACS heeds it. An "
        "alarm of this kind says that one arrived while it was recalled: run `dicom-ai recall` again.",
    ),
    Reason(
        "no_destination", "deliver", "The destination was taken out of the site's tables", "目的地已从站点配置中移除",
        "Nothing to do if that was meant; else put it back into deploy/site.toml and run `dicom-ai apply`.",
    ),
    Reason(
        "no_address", "deliver", "A device asked for storage commitment, and nobody knows where to send the report",
        "设备请求了存储确认，但没有报告的接收地址",
        "Give the peer host and port in deploy/site.toml and run `dicom-ai apply`; the report goes out by itself.",
    ),
    Reason(
        "attempts_spent", "deliver", "The destination could not be reached or stayed unwell for the retention time",
        "在保留时间内目的地不可达或异常", "Restore the destination, then run `dicom-ai deliveries retry`.",
    ),
)  # fmt: skip

REASONS: dict[str, Reason] = {reason.code: reason for reason in _REASONS}
