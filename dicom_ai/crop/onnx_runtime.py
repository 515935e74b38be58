"""ONNX Runtime, loaded when first needed and silenced. What this is not: a network; see `closer` and `ocr`."""

import os
from importlib.resources import files
from typing import Any


def onnx_runtime() -> Any:
    """The module `onnxruntime`, with its telemetry off: it would make a device id and report."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # heeded while it is imported, a fifth of a second
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    return onnxruntime


def network(name: str) -> Any:
    """A network that lies beside this file, to be run on one core.

    Args:
        name: of its ONNX file.
    """
    runtime = onnx_runtime()
    wanted = runtime.SessionOptions()
    wanted.intra_op_num_threads = wanted.inter_op_num_threads = 1
    stored = files("dicom_ai.crop").joinpath(name).read_bytes()
    return runtime.InferenceSession(stored, wanted, providers=["CPUExecutionProvider"])
