"""No effects while loading: what the interpreter shows is refused, what it hides is undone, and honest loads go on."""

from __future__ import annotations

import ast
import atexit
import builtins
import collections
import contextlib
import gc
import io
import json
import logging
import os
import pickle
import re
import signal
import subprocess
import sys
import sysconfig
import types
import weakref
import webbrowser
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_args

import pytest

from guard import gauntlet
from picklegate import BlockedError, Policy, guarded, install_guard, safe_pickle_load, safe_pickle_loads
from picklegate.errors import PolicyError
from picklegate.guard import approval, effects, load_context, scan_before_load, silent_calls, tables
from picklegate.policy import Effect
from picklegate.report import Verdict
from picklegate.scan import scan_stream

EVENT = re.compile(r"""\baudit\(\s*["']([A-Za-z_0-9./]+)["']""")
WORDS = """
    _path_splitroot _path_splitroot_ex _path_isdevdrive _path_isdir _path_isfile _path_islink _path_exists
    WCOREDUMP WEXITSTATUS WIFCONTINUED WIFEXITED WIFSIGNALED WIFSTOPPED WSTOPSIG WTERMSIG access confstr cpu_count
    ctermid device_encoding dup eventfd eventfd_read fdatasync fpathconf fspath fstat fstatvfs fsync get_blocking
    get_inheritable get_terminal_size getcwd getcwdb getegid geteuid getgid getgrouplist getgroups getloadavg
    getlogin getpgid getpgrp getpid getppid getpriority getrandom getresgid getresuid getsid getuid isatty lseek
    lstat major makedev memfd_create minor pathconf pipe pipe2 posix_fadvise pread preadv ptsname read readlink
    readv sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getparam sched_getscheduler
    sched_rr_get_interval sched_yield stat statvfs strerror sync sysconf tcgetpgrp times timerfd_create
    timerfd_gettime timerfd_gettime_ns timerfd_settime timerfd_settime_ns ttyname uname urandom
    waitstatus_to_exitcode _getdiskusage _inputhook _is_inputhook_installed _path_normpath
    _supports_virtual_terminal _fcopyfile _create_environ _emscripten_debugger _emscripten_log _clearenv_
    process_cpu_count
"""
HARMLESS_POSIX = frozenset(WORDS.split())
"""Functions of posix that tell something, wait, or make what nobody else sees."""
AUDITED_POSIX = {
    "execv": "exec", "execve": "exec", "unlink": "remove", "replace": "rename", "posix_spawnp": "posix_spawn",
    "fchdir": "chdir", "fchown": "chown", "lchown": "chown", "ftruncate": "truncate", "lchmod": "chmod",
    "lchflags": "chflags",
}  # fmt: skip
"""Functions of posix whose event bears another name."""


@pytest.fixture(name="approving")
def _approving(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan that lists what it sees, and finds nothing wrong with it; whatever is asked for besides is listed too."""
    monkeypatch.setattr(scan_before_load, "scan_stream", scan_stream)
    monkeypatch.setattr(approval, "_renamed", approval._renamed)
    gauntlet.approve_of_everything()


class Call:
    """An object whose pickle makes a call."""

    def __init__(self, callee: Any, *args: Any) -> None:
        """The call."""
        self.call = callee, args

    def __reduce__(self) -> Any:
        """What a stream does with it."""
        return self.call


def stream(name: str, *args: Any) -> bytes:
    """A pickle that calls what a dotted name with one colon stands for, with plain arguments."""
    module, _, attribute = name.partition(":")
    given = pickle.dumps(args, 4)[:-1]
    given = given[11:] if given[2:3] == b"\x95" else given[2:]
    names = b"".join(b"\x8c" + bytes([len(each)]) + each.encode() for each in (module, attribute))
    return b"\x80\x04" + names + b"\x93" + given + b"R."


# --- the table


def test_every_event_of_the_standard_library_has_a_decision() -> None:
    """Each event that a module of this interpreter raises by name is a row, with a kind and a reason."""
    known = {row[0]: row for row in tables.rows("audit_events")}
    library = Path(sysconfig.get_paths()["stdlib"])
    raised = {
        event
        for path in library.rglob("*.py")
        if not {"test", "tests", "site-packages", "idlelib"} & set(path.parts)
        for event in EVENT.findall(path.read_text("utf-8", "replace"))
    }
    assert raised > {"subprocess.Popen", "shutil.rmtree"}
    assert raised - known.keys() == set()
    for event, decision, kind, reason in known.values():
        assert decision in ("refuse", "allow", "look"), event
        assert (kind == "-") is (decision == "allow"), event
        assert kind == "-" or kind in get_args(Effect), event
        assert reason


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs the functions of posix")
def test_every_function_of_posix_is_accounted_for() -> None:
    """Each one raises an event, is listed as silent, or does nothing: a function that is new has to be looked at."""
    import posix

    events = {row[0].partition(".")[2] for row in tables.rows("audit_events") if row[0].startswith("os.")}
    silent = {row[0].partition(".")[2] for row in tables.rows("silent_calls") if row[0].startswith("posix.")}
    functions = {name for name, value in vars(posix).items() if isinstance(value, types.BuiltinFunctionType)}
    assert {"mkfifo", "mknod", "write"} <= silent
    left = functions - HARMLESS_POSIX - silent - events - {"open"}
    assert {name for name in left if AUDITED_POSIX.get(name) not in events} == set()


def test_an_event_that_is_not_known_is_refused_where_it_is_the_interpreters() -> None:
    """A later CPython's event is refused, a library's own is its own."""
    scope = effects.Scope(beside=frozenset(), mapped=None, was_scanned=lambda _: False)
    frame = sys._getframe()
    assert effects.refused("os.a_new_one", (), frame, scope) == "state"
    assert effects.refused("some_library.did", (), frame, scope) is None


@pytest.mark.parametrize(
    "name", ["audit_events", "silent_calls", "library_calls", "exceptions", "harmless", "channels", "acting_modules"]
)
def test_each_row_has_a_reason(name: str) -> None:
    """Each list of the guard has as many columns as its head says, and the last one says why."""
    columns = {"audit_events": 4, "exceptions": 4, "acting_modules": 2}.get(name, 3)
    found = tables.rows(name)
    assert found
    assert all(len(row) == columns and all(row) for row in found)
    assert len({row[:-1] for row in found}) == len(found), "a row stands twice"


def test_harmless_names_are_no_wider_than_they_say() -> None:
    """None of them is listed as something that acts, and none leads through another object."""
    acting = {row[0] for row in (*tables.rows("silent_calls"), *tables.rows("library_calls"))}
    for module, name in approval.HARMLESS:
        assert "." not in name
        assert f"{module}.{name}" not in acting


# --- what is refused

ACTS: dict[str, tuple[str, bytes]] = {
    "system": ("process", stream("os:system", "true > canary")),
    "popen": ("process", stream("subprocess:Popen", ["touch", "canary"])),
    "getoutput": ("process", stream("subprocess:getoutput", "true > canary")),
    "exec": ("process", stream("os:execv", "/bin/touch", ["touch", "canary"])),
    "posix_spawn": ("process", stream("os:posix_spawn", "/bin/touch", ["touch", "canary"], {})),
    "pty": ("process", stream("pty:spawn", ["touch", "canary"])),
    "fork": ("process", stream("os:fork")),
    "kill": ("process", stream("os:kill", 0, 0)),
    "spawnv_passfds": (
        "process",
        stream("multiprocessing.util:spawnv_passfds", b"/bin/touch", ["touch", "canary"], []),
    ),
    "open": ("write", stream("io:open", "canary", "w")),
    "append": ("write", stream("_io:FileIO", "canary", "a")),
    "_pyio": ("write", stream("_pyio:open", "canary", "w")),
    "os.open": ("write", stream("posix:open", "canary", os.O_CREAT)),
    "touch": ("write", stream("pathlib:Path.touch", Path("canary"))),
    "mkdir": ("write", stream("os:mkdir", "canary")),
    "mkfifo": ("write", stream("os:mkfifo", "canary")),
    "mknod": ("write", stream("posix:mknod", "canary")),
    "remove": ("write", stream("os:remove", "kept")),
    "replace": ("write", stream("os:replace", "kept", "canary")),
    "rmtree": ("write", stream("shutil:rmtree", ".")),
    "copy": ("write", stream("shutil:copy", "kept", "canary")),
    "symlink": ("write", stream("os:symlink", "kept", "canary")),
    "chmod": ("write", stream("os:chmod", "kept", 0)),
    "truncate": ("write", stream("os:truncate", "kept", 0)),
    "mkstemp": ("write", stream("tempfile:mkstemp", "", "", ".")),
    "sqlite": ("write", stream("sqlite3:connect", "canary")),
    "write": ("write", stream("os:write", 1, b"")),
    "read": ("read", stream("io:open", "/etc/passwd")),
    "list": ("read", stream("os:listdir", "/")),
    "glob": ("read", stream("glob:glob", "/*")),
    "connect": ("network", stream("socket:create_connection", ("127.0.0.1", 9))),
    "resolve": ("network", stream("socket:getaddrinfo", "localhost", 80)),
    "socket": ("network", stream("_socket:socket")),
    "urlopen": ("network", stream("urllib.request:urlopen", "http://127.0.0.1:9/")),
    "smtp": ("network", stream("smtplib:SMTP", "127.0.0.1", 9)),
    "browser": (
        "process",
        stream("webbrowser:GenericBrowser.open", Call(webbrowser.GenericBrowser, "touch"), "canary"),
    ),
    "dlopen": ("native", stream("ctypes:CDLL", "/tmp/evil.so")),
    "dlopen-itself": ("native", stream("ctypes:CDLL", None)),
    "thread": ("thread", stream("_thread:start_new_thread", Call(print), ())),
    "marshal": ("code", stream("marshal:load", Call(io.BytesIO, b"N"))),
    "settrace": ("state", stream("sys:settrace", None)),
    "setprofile": ("state", stream("sys:setprofile", None)),
    "addaudithook": ("state", stream("sys:addaudithook", Call(print))),
    "chdir": ("state", stream("os:chdir", "/")),
    "putenv": ("state", stream("os:putenv", "canary", "1")),
    "signal": ("state", stream("signal:signal", 10, 1)),
    "alarm": ("state", stream("signal:alarm", 100)),
    "umask": ("state", stream("os:umask", 0)),
    "atexit": ("state", stream("atexit:register", Call(print))),
    "recursion": ("state", stream("sys:setrecursionlimit", 10_000)),
    "this": ("import", stream("importlib:import_module", "this")),
    "antigravity": ("import", stream("builtins:__import__", "antigravity")),
}


@pytest.mark.usefixtures("approving")
@pytest.mark.parametrize("data", ACTS.values(), ids=ACTS)
def test_an_effect_ends_the_load_before_it_happens(
    data: tuple[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the scan has approved of the call, the effect is refused, named, and has not happened."""
    kind, pickled = data
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kept").write_text("kept")
    handler = signal.getsignal(10)
    with pytest.raises(BlockedError) as caught:
        safe_pickle_loads(pickled)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept").read_text() == "kept"
    assert signal.getsignal(10) is handler
    finding = caught.value.report.findings[-1]
    assert finding.code == "guard.effect"
    assert finding.verdict == Verdict.MALICIOUS
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert effects.WORDS[kind] in lines[0]  # type: ignore[index]
    assert f"({kind!r},)" in lines[2]


@pytest.mark.usefixtures("approving")
def test_the_error_names_the_effect_the_callee_and_the_place() -> None:
    """What acts, what the stream called, and the offset of the call."""
    with pytest.raises(BlockedError) as caught:
        safe_pickle_loads(ACTS["getoutput"][1])
    first = str(caught.value).splitlines()[0]
    assert "subprocess.Popen" in first
    assert "by subprocess.getoutput" in first
    assert "at offset" in first
    finding = caught.value.report.findings[-1]
    call = caught.value.report.streams[0].calls[0]
    assert (finding.stream, finding.offset) == (caught.value.report.streams[0].name, call.offset)


@pytest.mark.usefixtures("approving")
@pytest.mark.parametrize("kind", ["digest", "import"])
def test_no_other_leave_goes_past_the_wall(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A digest or an import that is allowed lets a file pass the verdict, and ``allow_effects`` alone its effects."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(scan_before_load, "scan_stream", scan_stream)
    data = pickle.dumps(Call(os.mkdir, "canary"))
    with pytest.raises(BlockedError) as caught:
        safe_pickle_loads(data)
    leave: dict[str, Any] = {"allow_digests": (caught.value.report.sha256,)}
    if kind == "import":
        leave = {"allow_imports": ("posix.mkdir", "os.mkdir"), "block_from": Verdict.MALICIOUS}
    with pytest.raises(BlockedError, match="mkdir"):
        safe_pickle_loads(data, policy=Policy(**leave))
    assert not (tmp_path / "canary").exists()
    leave |= {"allow_digests": (caught.value.report.sha256,)}
    assert safe_pickle_loads(data, policy=Policy(**leave, allow_effects=("write",))) is None
    assert (tmp_path / "canary").is_dir()
    with pytest.raises(BlockedError, match="mkdir"):
        safe_pickle_loads(data, policy=Policy(**leave, allow_effects=("read", "process", "state")))


def test_a_wrong_kind_of_effect_is_an_error() -> None:
    """Policies are checked when they are made, guards when they are put in place."""
    with pytest.raises(PolicyError, match="allow_effects"):
        Policy(allow_effects=("everything",))  # type: ignore[arg-type]
    with pytest.raises(PolicyError, match="allow_effects"):
        Policy(allow_effects="read")  # type: ignore[arg-type]
    with pytest.raises(PolicyError, match="effects"):
        install_guard(effects="maybe")  # type: ignore[arg-type]


@pytest.mark.usefixtures("approving")
def test_a_guard_may_only_write_it_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With effects="log" the load goes on, and the log says what it did; the guard outside of it refuses again."""
    monkeypatch.chdir(tmp_path)
    data = pickle.dumps(Call(os.mkdir, "canary"))
    with guarded():
        with guarded(effects="log"), caplog.at_level(logging.WARNING, "picklegate.guard"):
            pickle.loads(data)
        assert (tmp_path / "canary").is_dir()
        assert "mkdir" in caplog.text
        (tmp_path / "canary").rmdir()
        with pytest.raises(BlockedError):
            pickle.loads(data)
    assert not (tmp_path / "canary").exists()


@pytest.mark.usefixtures("approving")
def test_a_refusal_that_the_stream_catches_still_ends_the_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code on the way that catches every error does not save the load."""
    monkeypatch.chdir(tmp_path)
    data = pickle.dumps([Call(_forgiving, "canary"), 1])
    with pytest.raises(BlockedError, match="mkdir"):
        safe_pickle_loads(data)
    assert not (tmp_path / "canary").exists()


def _forgiving(name: str) -> None:
    with contextlib.suppress(Exception):
        os.mkdir(name)


# --- what raises no event


class Holder:
    """Holds a callable in a module that a stream can name."""


CHANGES: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "a built-in": (lambda: setattr(builtins, "len", print), lambda: builtins.len),
    "a new built-in": (lambda: setattr(builtins, "canary", print), lambda: hasattr(builtins, "canary")),
    "sys.path": (lambda: sys.path.insert(0, "canary"), lambda: list(sys.path)),
    "another sys.path": (lambda: setattr(sys, "path", []), lambda: sys.path),
    "sys.meta_path": (lambda: sys.meta_path.clear(), lambda: list(sys.meta_path)),
    "sys.modules": (lambda: sys.modules.__setitem__("json", types.ModuleType("json")), lambda: sys.modules["json"]),
    "a module that is gone": (lambda: sys.modules.pop("json"), lambda: sys.modules.get("json")),
    "excepthook": (lambda: setattr(sys, "excepthook", print), lambda: sys.excepthook),
    "unraisablehook": (lambda: setattr(sys, "unraisablehook", print), lambda: sys.unraisablehook),
    "stdout": (lambda: setattr(sys, "stdout", None), lambda: sys.stdout),
    "pickle.loads": (lambda: setattr(pickle, "loads", print), lambda: pickle.loads),
    "pickle._Unpickler": (
        lambda: setattr(pickle._Unpickler, "find_class", print), lambda: pickle._Unpickler.find_class,
    ),
    "os.system": (lambda: setattr(os, "system", print), lambda: os.system),
    "the environment": (lambda: os.environ._data.update({b"CANARY": b"1"}), lambda: dict(os.environ)),  # type: ignore[attr-defined]
    "gc": (lambda: gc.disable(), lambda: gc.isenabled()),
    "gc.callbacks": (lambda: gc.callbacks.append(print), lambda: list(gc.callbacks)),
    "the guard's policy": (lambda: setattr(Policy, "blocks", print), lambda: Policy.blocks),
    "the guard's hook": (lambda: setattr(load_context.Load, "meet", print), lambda: load_context.Load.meet),
    "the guard's rules": (lambda: setattr(effects, "refused", print), lambda: effects.refused),
    "the guard's scan": (lambda: setattr(scan_before_load, "scanned", print), lambda: scan_before_load.scanned),
}  # fmt: skip


def _change(name: str) -> None:
    CHANGES[name][0]()


@pytest.mark.usefixtures("approving")
@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_the_process_ends_the_load_and_is_undone(name: str) -> None:
    """What is asked of no audit hook is compared, refused and put back."""
    gc.enable()  # whatever ran before
    before = CHANGES[name][1]()
    with pytest.raises(BlockedError, match="change the running program"):
        safe_pickle_loads(pickle.dumps(Call(_change, name)))
    assert CHANGES[name][1]() == before


class _Bearer:
    """Something that a finalizer can be put on."""


KEPT = _Bearer()


def _finalize() -> None:
    weakref.finalize(KEPT, print)


def _register() -> None:
    atexit.register(print, "canary")


@pytest.mark.usefixtures("approving")
@pytest.mark.parametrize("call", [_finalize, _register])
def test_nothing_is_called_later(call: Callable[[], None]) -> None:
    """Neither at the end of the program nor when an object goes away."""
    before = atexit._ncallbacks(), len(weakref.finalize._registry)  # type: ignore[attr-defined]
    with pytest.raises(BlockedError, match="change the running program"):
        safe_pickle_loads(pickle.dumps(Call(call)))
    assert (atexit._ncallbacks(), len(weakref.finalize._registry)) == before  # type: ignore[attr-defined]


POOL: list[ThreadPoolExecutor] = []


def _submit(name: str) -> None:
    POOL[-1].submit(os.mkdir, name)


@pytest.mark.usefixtures("approving")
def test_no_work_is_handed_to_threads_that_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool of the program is no way around the thread that loads."""
    monkeypatch.chdir(tmp_path)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()
        POOL.append(pool)
        with pytest.raises(BlockedError, match="submit"):
            safe_pickle_loads(pickle.dumps(Call(_submit, "canary")))
        pool.submit(int).result()
    assert not (tmp_path / "canary").exists()


@pytest.mark.usefixtures("approving")
def test_what_was_wrapped_is_itself_again_after_the_load() -> None:
    """Functions that raise no event are the interpreter's own outside of loads, and other threads may call them."""
    before = os.mkfifo, os.write, signal.signal, atexit.register, list(sys.meta_path)
    seen: list[Any] = []

    class Seeing(OrderedDict[str, Any]):
        def __reduce__(self) -> Any:
            return _look, ()

    global _look  # noqa: PLW0603 - a function that pickles name

    def _look() -> None:
        seen.append((os.mkfifo is before[0], ThreadPoolExecutor is not None))

    vars(sys.modules[__name__])["_look"] = _look
    _look.__qualname__ = "_look"
    safe_pickle_loads(pickle.dumps(Seeing()))
    assert seen == [(False, True)]
    assert (os.mkfifo, os.write, signal.signal, atexit.register, list(sys.meta_path)) == before
    assert not silent_calls.loads()


def _look() -> None:
    """Replaced by a test."""


@pytest.mark.usefixtures("approving")
@pytest.mark.parametrize(
    "name",
    [
        "picklegate.guard.process:_process._leave",
        "picklegate.guard.load_context:outside",
        "picklegate.policy:Policy",
        "picklegate.cli:main",
        "picklegate:install_guard",
    ],
)
def test_the_gate_is_never_what_a_stream_calls(name: str) -> None:
    """Its own modules are no callee, whatever the scan says of them."""
    with guarded(), pytest.raises(BlockedError, match="belongs to the gate"):
        pickle.loads(stream(name))


@pytest.mark.usefixtures("approving")
def test_a_load_neither_puts_a_guard_in_place_nor_takes_it_away() -> None:
    """Whoever calls for it while a load lasts."""
    uninstall = install_guard()
    UNINSTALL.append(uninstall)
    try:
        with pytest.raises(BlockedError):
            pickle.loads(pickle.dumps(Call(_uninstall)))
        assert load_context.backstops
    finally:
        uninstall()
    assert not load_context.backstops


UNINSTALL: list[Callable[[], None]] = []


def _uninstall() -> None:
    UNINSTALL[-1]()


# --- what honest loads do


def _named(name: str) -> Any:
    make: Any = collections.namedtuple  # noqa: PYI024 - what is tested
    return make(name, "a b")(1, 2)


def _dataclass() -> Any:
    import dataclasses

    return dataclasses.make_dataclass("Row", ["a", "b"])(1, 2)


def _enum() -> Any:
    import enum

    return enum.Enum("Color", "RED GREEN").RED.name  # type: ignore[attr-defined]


def _companion(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def _lazily() -> str:
    import this_is_not_installed  # type: ignore[import-not-found] # noqa: F401

    return ""


def _lazily_or_not() -> str:
    try:
        return _lazily()
    except ImportError:
        return "not there"


def _lazily_installed(name: str) -> str:
    sys.modules.pop(name, None)
    return str(__import__(name).__name__)


@pytest.mark.usefixtures("approving")
@pytest.mark.parametrize(
    ("call", "args", "expected"),
    [
        (_named, ("Row",), (1, 2)),
        (_enum, (), "RED"),
        (_lazily_or_not, (), "not there"),
        (_lazily_installed, ("colorsys",), "colorsys"),
        (_lazily_installed, ("xml.dom.minidom",), "xml"),
        (sorted, ([3, 1],), [1, 3]),
        (os.path.abspath, ("/a",), "/a"),
        (logging.getLogger("test").debug, ("nothing",), None),
    ],
    ids=["namedtuple", "enum", "missing", "lazy", "package", "sorted", "path", "log"],
)  # fmt: skip
def test_what_honest_constructors_do_goes_on(call: Any, args: Any, expected: Any) -> None:
    """Makers of classes, imports of installed modules, and plain work."""
    if call is _lazily_installed:
        sys.modules.pop(args[0], None)
    if getattr(call, "__self__", None) is not None and isinstance(call.__self__, logging.Logger):
        call = _debug
    assert safe_pickle_loads(pickle.dumps(Call(call, *args))) == expected


def _debug(text: str) -> None:
    logging.getLogger("test").debug(text)


@pytest.mark.usefixtures("approving")
def test_dataclasses_are_made() -> None:
    """The methods of a dataclass are texts that the standard library writes."""
    made = safe_pickle_loads(pickle.dumps(Call(_dataclass)))
    assert (made.a, made.b) == (1, 2)


@pytest.mark.usefixtures("approving")
def test_a_file_beside_the_model_is_read(tmp_path: Path) -> None:
    """Companions of a model are the model's; other files are not."""
    (tmp_path / "words.txt").write_text("words")
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(Call(_companion, str(tmp_path / "words.txt"))))
    assert safe_pickle_load(path) == "words"
    with pytest.raises(BlockedError, match="read a file"):
        safe_pickle_loads(path.read_bytes())
    assert safe_pickle_loads(path.read_bytes(), policy=Policy(allow_effects=("read",))) == "words"


@pytest.mark.usefixtures("approving")
def test_code_runs_if_it_lies_in_the_scanned_bytes() -> None:
    """Text that the scan could judge is compiled; text that was made on the way is not."""
    assert safe_pickle_loads(stream("builtins:eval", "6 * 7")) == 42
    hidden = pickle.dumps(Call(eval, Call(bytes.decode, "6 * 7".encode("utf-16"), "utf-16")))
    with pytest.raises(BlockedError, match="code that the scan did not read"):
        safe_pickle_loads(hidden)


def test_code_by_value_loads() -> None:
    """Functions that cloudpickle and dill bring with their code, which the scan has read."""
    for name in ("cloudpickle", "dill"):
        module = pytest.importorskip(name)
        space: dict[str, Any] = {"__name__": "__main__"}
        exec("def double(x): return 2 * x", space)
        for protocol in (2, 5):
            data = module.dumps(space["double"], protocol=protocol)
            policy = Policy(block_from=Verdict.MALICIOUS)
            assert safe_pickle_loads(data, policy=policy)(21) == 42


def test_distributions_of_scipy_load() -> None:
    """The text that scipy runs follows from the names of the shapes; any other is refused."""
    stats = pytest.importorskip("scipy.stats")
    for frozen in (stats.norm(1, 2), stats.gamma(3.0), stats.beta(1, 2), stats.binom(5, 0.5)):
        loaded = safe_pickle_loads(pickle.dumps(frozen))
        assert loaded.mean() == frozen.mean()
        assert loaded.rvs(random_state=1) == frozen.rvs(random_state=1)


@pytest.mark.usefixtures("approving")
@pytest.mark.parametrize(
    "text",
    [
        "canary = 1",
        "def _parse_args(self, a=print()): return (a,), 0, 1",
        "def _parse_args(self, a, loc=0): return (a.pop(),), loc",
    ],
)
def test_any_other_text_for_scipy_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it is one more statement, a default or a call."""
    stats = pytest.importorskip("scipy.stats")
    monkeypatch.setattr(approval, "holds", lambda *_: False)
    monkeypatch.setattr(load_context, "holds", lambda *_: False)
    frozen = stats.gamma(3.0)
    honest = frozen.dist._parse_arg_template
    assert ast.parse(honest)
    for template in (text, honest + "\n" + text):
        frozen.dist._parse_arg_template = template
        with pytest.raises(BlockedError, match="code that the scan did not read"):
            safe_pickle_loads(pickle.dumps(frozen))


# --- holes that were there


def test_a_pool_gets_no_leave_for_what_a_user_hands_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``map(pickle.loads, ...)`` of a pool loads files, not the pool's own data."""
    import multiprocessing.pool

    monkeypatch.chdir(tmp_path)
    data = pickle.dumps(Call(os.mkdir, "canary"))
    (tmp_path / "x.pkl").write_bytes(data)
    with guarded(), multiprocessing.pool.ThreadPool(1) as pool:
        with pytest.raises(BlockedError):
            pool.map(pickle.loads, [data])
        with (tmp_path / "x.pkl").open("rb") as file, pytest.raises(BlockedError):
            pool.apply(pickle.load, (file,))
        assert pool.map(pickle.loads, [pickle.dumps([1])]) == [[1]]
    assert not (tmp_path / "canary").exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("kind", ["pool", "executor", "process"])
def test_forked_children_are_guarded(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own loader in a child goes through the gate as well."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    monkeypatch.chdir(tmp_path)
    data = pickle.dumps(Call(os.mkdir, "canary"))
    fork: Any = multiprocessing.get_context("fork")
    with guarded():
        if kind == "pool":
            with fork.Pool(1) as pool, pytest.raises(BlockedError):
                pool.map(pickle.loads, [data])
        elif kind == "executor":
            with ProcessPoolExecutor(1, fork) as executor, pytest.raises(BlockedError):
                list(executor.map(pickle.loads, [data]))
        else:
            process = fork.Process(target=pickle.loads, args=(data,))
            process.start()
            process.join()
            assert process.exitcode == 1
    assert not (tmp_path / "canary").exists()


def test_a_module_elsewhere_in_the_download_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the model, below the top of the repository, and in the client's cache."""
    for number, (module, model, mark) in enumerate(
        [
            ("repo", "repo/checkpoints", None),
            ("repo/code", "repo/checkpoints", "repo/.git"),
            ("repo/code", "repo/a/b", "repo/.cache/huggingface"),
            ("hub/snapshots/0123/code", "hub/snapshots/0123/weights", None),
        ]
    ):
        root = tmp_path / str(number)
        for folder in filter(None, (module, model, mark)):
            (root / folder).mkdir(parents=True, exist_ok=True)
        name = f"picklegate_test_net{number}"
        (root / module / f"{name}.py").write_text("open('canary', 'w').close()\nclass Net: pass\n")
        monkeypatch.chdir(root)
        monkeypatch.syspath_prepend(str(root / module))
        path = root / model / "x.pkl"
        path.write_bytes(f"\x80\x02c{name}\nNet\n)\x81.".encode("latin-1"))
        with pytest.raises(BlockedError, match="lies beside the model"):
            safe_pickle_load(path)
        assert not (root / "canary").exists()


def test_old_files_of_joblib_load(tmp_path: Path) -> None:
    """Compressed by joblib before 0.10, with the arrays in files beside them."""
    joblib = pytest.importorskip("joblib")
    np = pytest.importorskip("numpy")
    import zlib

    from picklegate import safe_joblib_load

    def zfile(data: bytes) -> bytes:
        return b"ZF" + hex(len(data)).encode().ljust(19) + zlib.compress(data)

    wrapper = joblib.numpy_pickle_compat.NDArrayWrapper
    np.save(tmp_path / "a_01.npy", np.arange(3))
    (tmp_path / "a.pkl").write_bytes(zfile(pickle.dumps({"a": wrapper("a_01.npy", np.ndarray)})))
    (tmp_path / "b.pkl").write_bytes(pickle.dumps({"a": wrapper("a_01.npy", np.ndarray)}))
    for name in ("a.pkl", "b.pkl"):
        with pytest.warns(DeprecationWarning, match="joblib"):
            assert safe_joblib_load(tmp_path / name)["a"].tolist() == [0, 1, 2]
        with guarded(), pytest.warns(DeprecationWarning, match="joblib"):
            assert joblib.load(tmp_path / name)["a"].tolist() == [0, 1, 2]
    (tmp_path / "c.pkl").write_bytes(zfile(pickle.dumps(Call(os.mkdir, str(tmp_path / "canary")))))
    with pytest.raises(BlockedError):
        safe_joblib_load(tmp_path / "c.pkl")
    assert not (tmp_path / "canary").exists()


INTERPRETERS = """
import sys
from picklegate import GateError, Policy, guarded
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
with guarded():
    try:
        interpreters.create()
        sys.exit("it began")
    except (GateError, RuntimeError):
        pass
with guarded(policy=Policy(allow_effects=("process",))):
    interpreters.destroy(interpreters.create())
"""


def test_no_interpreter_begins_without_a_guard() -> None:
    """An audit hook of Python holds its own interpreter alone; torch needs a process that never had another."""
    ended = subprocess.run([sys.executable, "-c", INTERPRETERS], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.fixture(name="restored", autouse=True)
def _restored() -> Iterator[None]:
    """No load is left under way."""
    yield
    assert not load_context.under_way()
    assert not silent_calls.loads()


def test_the_rules_are_json_for_children() -> None:
    """``picklegate run`` hands the kinds down to the processes of a program."""
    from picklegate import protection

    policy = Policy(allow_effects=("read", "thread"))
    told = protection.handed_down(policy)
    assert json.loads(next(iter(told.values())))["allow_effects"] == ["read", "thread"]
