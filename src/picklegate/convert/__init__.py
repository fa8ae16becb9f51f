"""Tensors out of a checkpoint without running it: a static reading of its pickle, written as safetensors."""

from picklegate.convert.conversion import ConversionError, convert_file, convert_stream
from picklegate.convert.report import ConversionReport, LeftOut, Tensor

__all__ = ["ConversionError", "ConversionReport", "LeftOut", "Tensor", "convert_file", "convert_stream"]
