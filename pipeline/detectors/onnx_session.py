"""Networks in ONNX form, opened for the CPU. Knows no network."""

from pathlib import Path
from typing import Any

from pipeline.errors import ModelMissing

ERRORS_ONLY = 3  # onnxruntime's logging severity


def open_onnx(file: Path, threads: int, backend: str) -> Any:
    """Load an ONNX file for so many threads; raises `ModelMissing` where it is none, or onnxruntime is not there."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelMissing(f"{backend}: onnxruntime is not installed; pip install 'masklet[onnx]'") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = ERRORS_ONLY
    try:
        return onnxruntime.InferenceSession(file.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common parent
        why = " ".join(str(error).split())
        raise ModelMissing(f"{file}: damaged, or not an ONNX file; fetch it again ({why})") from error
