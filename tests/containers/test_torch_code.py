"""Code in torch's archives: TorchScript that reaches files, and packages of Python modules."""

from __future__ import annotations

import io
from typing import Any

import pytest

from picklegate.report import Verdict
from samples.containers import HONEST, Member, scan, zipped

SETSTATE = """\
class M(Module):
  training : bool
  def forward(self: __torch__.M, x: Tensor) -> Tensor:
    return {forward}
  def __setstate__(self: __torch__.M, state: Tuple[str, bool]) -> NoneType:
    self.training = (state)[1]
    {loading}
    return None
"""


def script(forward: str = "x", loading: str = "pass", *, method: int = 0, name: bytes = b"__torch__.py") -> bytes:
    """A TorchScript archive of one class."""
    text = SETSTATE.format(forward=forward, loading=loading).encode()
    return zipped(
        Member(b"m/data.pkl", HONEST),
        Member(b"m/constants.pkl", HONEST),
        Member(b"m/code/" + name, text, method),
        Member(b"m/version", b"3\n"),
    )


def codes(data: bytes) -> set[str]:
    """The codes of the findings that block."""
    return {finding.code for finding in scan(data).findings if finding.verdict > Verdict.CLEAN}


@pytest.mark.parametrize(
    "call",
    [
        'torch.save(torch.ones([1]), "/tmp/x")',
        'ops.aten.save(x, "/tmp/x")',
        'torch.from_file("/etc/passwd", True, 8)',
        'ops.image.write_file("/tmp/x", x)',
        'ops.torchaudio.sox_io_save_audio_file("/tmp/x", x)',
        'torch.save (x, "y")',
        'torch . save(x, "y")',
        'torch. # a comment\n      save(x, "y")',
        'torch.\\\n      save(x, "y")',
        '(torch.save)(x, "y")',
        '(torch).save(x, "y")',
        'getattr(torch, "save")(x, "y")',
        'f = torch.save\n    f(x, "y")',
        't = torch\n    t.save(x, "y")',
        't = ops.aten\n    t.save(x, "y")',
        'print("""a"b"""), torch.save(x, "y")',
    ],
)
@pytest.mark.parametrize("method", [0, 8])
def test_operators_that_reach_files_are_told(call: str, method: int) -> None:
    """Whether loading or using the model runs them, stored or compressed, in whichever file of the code."""
    assert codes(script(loading=call, method=method)) == {"torch.script-operator"}
    assert codes(script(forward=call, method=method, name=b"__torch__/a/b.py")) == {"torch.script-operator"}


def test_an_unknown_operator_is_told_where_loading_may_run_it() -> None:
    """An operator of another library may do anything."""
    assert codes(script(loading="ops.mylib.start(state)")) == {"torch.script-operator"}


@pytest.mark.parametrize(
    "call",
    [
        "torch.add(x, x)",
        "ops.quantized.linear_prepack(x, None)",
        "ops.prim.NumToTensor(x)",
        "torch.unfold(x, 0, 1, 1)",
        'torch.print("call torch.save(x, y)")',
        "(self.encoder).load_weights_of(x, )",
    ],
)
def test_ordinary_code_is_no_alarm(call: str) -> None:
    """Operators on tensors, and texts that only name others."""
    assert codes(script(forward=call, loading=call)) == set()


def test_byte_code_for_phones_is_looked_at() -> None:
    """The mobile format names operators in a pickle."""
    call = b"\x80\x02(X\x0c\0\0\0__setstate__X\x0a\0\0\0aten::savet."
    data = zipped(Member(b"m/data.pkl", HONEST), Member(b"m/bytecode.pkl", call), Member(b"m/version", b"3\n"))
    assert codes(data) == {"torch.script-operator"}


@pytest.mark.filterwarnings("ignore")
def test_what_torch_writes_is_no_alarm() -> None:
    """Modules that torch itself compiles and packs."""
    torch: Any = pytest.importorskip("torch")
    parts = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.ReLU())
    for module in (parts, torch.nn.LSTM(2, 3), torch.nn.TransformerEncoderLayer(4, 2)):
        torch.jit.save(torch.jit.script(module.eval()), out := io.BytesIO())
        assert scan(out.getvalue()).findings == ()


@pytest.mark.filterwarnings("ignore")
def test_a_package_with_modules_is_told() -> None:
    """``torch.package`` brings the source of modules, which its importer runs."""
    torch: Any = pytest.importorskip("torch")
    from torch.package import PackageExporter

    for brings in (False, True):
        with PackageExporter(out := io.BytesIO()) as exporter:
            exporter.extern("**")
            exporter.save_pickle("model", "weights.pkl", {"a": 1})
            if brings:
                exporter.save_source_string("mine", "import os\n")
        assert ("torch.package-code" in codes(out.getvalue())) == brings
    del torch
