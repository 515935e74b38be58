"""ONNX Runtime, loaded when first needed and silenced. What this is not: a network; see `closer` and `ocr`."""

import os
from typing import Any


def onnx_runtime() -> Any:
    """The module `onnxruntime`, with its telemetry off: it would make a device id and report."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # heeded while it is imported, a fifth of a second
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    return onnxruntime
