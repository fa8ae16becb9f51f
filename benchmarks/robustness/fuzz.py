"""Coverage-guided fuzzing of what reads hostile bytes: python -m benchmarks.robustness.fuzz [OPTIONS] [CORPUS].

Needs atheris. Whatever the bytes, reading them must not raise, and must end within limits.
"""

from __future__ import annotations

import io
import sys

import atheris

with atheris.instrument_imports(include=["picklegate"]):
    from picklegate import containers, pickles
    from picklegate.judging import features
    from picklegate.judging.arguments import arguments_of
    from picklegate.limits import Limits

LIMITS = Limits(
    max_opcodes=200_000,
    max_stack=100_000,
    max_arguments=100_000,
    max_streams=200,
    max_members=500,
    max_inflated_bytes=1 << 20,
    max_total_inflated_bytes=4 << 20,
)


def one_input(data: bytes) -> None:
    """Read the bytes as a stream and as a file, and describe each event."""
    found = pickles.trace(data, limits=LIMITS)
    contents = containers.read(io.BytesIO(data), name="model.pkl", limits=LIMITS)
    for trace in (found, *(stream.trace for stream in contents.streams)):
        for event in trace.events:
            features.description(event, arguments_of(event))


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
