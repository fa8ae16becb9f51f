"""Types of elements: as torch and numpy name them -> the names of safetensors, and their size in bytes."""

from __future__ import annotations

SIZES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
    "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8, "C64": 8,
}  # fmt: skip
"""Bytes of one element (https://github.com/huggingface/safetensors, Dtype)."""

STORAGES = {
    "DoubleStorage": "F64", "FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16",
    "LongStorage": "I64", "IntStorage": "I32", "ShortStorage": "I16", "CharStorage": "I8", "ByteStorage": "U8",
    "BoolStorage": "BOOL",
    "ComplexFloatStorage": "C64",
}  # fmt: skip
"""By the name of the storage class in ``torch``."""

TORCH = {
    "float64": "F64", "double": "F64", "float32": "F32", "float": "F32", "float16": "F16", "half": "F16",
    "bfloat16": "BF16", "int64": "I64", "long": "I64", "int32": "I32", "int": "I32", "int16": "I16", "short": "I16",
    "int8": "I8", "uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64", "bool": "BOOL", "complex64": "C64",
    "cfloat": "C64", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "float8_e8m0fnu": "F8_E8M0",
}  # fmt: skip
"""By the name of the ``torch.dtype``."""

NUMPY = {
    "b1": "BOOL", "?": "BOOL", "u1": "U8", "i1": "I8", "u2": "U16", "i2": "I16", "f2": "F16", "u4": "U32", "i4": "I32",
    "f4": "F32", "u8": "U64", "i8": "I64", "f8": "F64", "c8": "C64",
    "B": "U8", "b": "I8", "H": "U16", "h": "I16", "e": "F16", "I": "U32", "i": "I32", "f": "F32", "Q": "U64",
    "q": "I64", "L": "U64", "l": "I64", "d": "F64", "F": "C64",
}  # fmt: skip
"""By numpy's type code without its byte order."""


def of_numpy(code: str) -> tuple[str, bool] | None:
    """The name of a numpy type code such as ``"<f4"``, and whether its bytes are swapped; None for other types."""
    order, bare = (code[0], code[1:]) if code[:1] in ("<", ">", "|", "=") else ("=", code)
    name = NUMPY.get(bare)
    return None if name is None else (name, order == ">" and SIZES[name] > 1)
