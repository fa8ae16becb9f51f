"""The command line: what it scans, what it prints, how it exits."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import pytest

from picklegate.errors import ModelDataError
from picklegate.report import FileReport, Finding, Verdict

HOSTILE = b"cos\nsystem\n(S'true'\ntR."
CLEAN = b"\x80\x04}."

Run = Callable[..., int]


@pytest.fixture
def fake_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaces the scan: the text of a file is its verdict, or what the scan raises."""
    raises: dict[str, BaseException] = {
        "PermissionError": PermissionError(13, "Permission denied", "x"),
        "KeyboardInterrupt": KeyboardInterrupt(),
        "ModelDataError": ModelDataError("the model's digest is wrong"),
        "ZeroDivisionError": ZeroDivisionError("a bug"),
    }

    def scan_file(path: str, **options: object) -> FileReport:
        said = Path(path).read_text(encoding="ascii")
        if said in raises:
            raise raises[said]
        finding = Finding(code="test.said", verdict=Verdict[said], message="as the file says")
        return FileReport(name=path, container="pickle", size=len(said), findings=(finding,))

    monkeypatch.setattr("picklegate.scan.scan_file", scan_file)


def write(folder: Path, *contents: str | bytes) -> list[str]:
    """Writes files named 0, 1, 2 and so on, and returns their paths."""
    paths = [folder / str(number) for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content if isinstance(content, bytes) else content.encode("ascii"))
    return [str(path) for path in paths]


@pytest.mark.usefixtures("fake_scan")
@pytest.mark.parametrize(
    ("verdicts", "status"),
    [
        pytest.param(["CLEAN", "CLEAN"], 0, id="clean"),
        pytest.param(["CLEAN", "SUSPICIOUS"], 1, id="suspicious"),
        pytest.param(["MALICIOUS", "CLEAN"], 1, id="malicious"),
        pytest.param(["CLEAN", "UNSCANNABLE"], 2, id="unscannable"),
        pytest.param(["UNSCANNABLE", "SUSPICIOUS"], 1, id="found-wins-over-unscannable"),
        pytest.param(["PermissionError", "CLEAN"], 2, id="unreadable"),
        pytest.param(["PermissionError", "MALICIOUS"], 1, id="found-wins-over-unreadable"),
        pytest.param(["ModelDataError"], 2, id="broken-installation"),
        pytest.param(["ZeroDivisionError", "CLEAN"], 2, id="crash-is-not-a-finding"),
        pytest.param(["ZeroDivisionError", "MALICIOUS"], 1, id="crash-does-not-hide-a-finding"),
        pytest.param(["CLEAN", "KeyboardInterrupt"], 130, id="interrupted"),
        pytest.param(["MALICIOUS", "KeyboardInterrupt"], 130, id="interrupted-after-a-finding"),
    ],
)
def test_exit_code(run: Run, tmp_path: Path, verdicts: list[str], status: int) -> None:
    """The exit code is that of docs/cli.md."""
    assert run("scan", *write(tmp_path, *verdicts)) == status


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["scan"], id="no-path"),
        pytest.param(["scan", "--format", "yaml", "x"], id="unknown-format"),
        pytest.param(["scam", "x"], id="unknown-command"),
        pytest.param(["scan", "x", "-o", "no/such/folder/report"], id="output-cannot-be-written"),
    ],
)
def test_misuse_is_exit_code_2(run: Run, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Misuse says on stderr what is wrong, and prints no report."""
    assert run(*arguments) == 2
    output = capsys.readouterr()
    assert not output.out
    assert "Usage: picklegate" in output.err


@pytest.mark.parametrize("arguments", [["--help"], ["scan", "-h"], ["demo", "-h"], ["--version"]], ids=" ".join)
def test_help_and_version_go_to_stdout(run: Run, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """What was asked for is data."""
    assert run(*arguments) == 0
    output = capsys.readouterr()
    assert output.out
    assert not output.err


def test_unreadable_files_do_not_end_the_batch(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing file and a pipe each get one line and an entry, without blocking, and the others their verdicts."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    good, evil = write(tmp_path, CLEAN, HOSTILE)
    bad = [str(tmp_path / name) for name in ("missing", "pipe", "loop")] + ["/dev/zero"]
    assert run("scan", "--format", "json", good, *bad, evil) == 1
    output = capsys.readouterr()
    files = {file["path"]: file for file in json.loads(output.out)["files"]}
    assert list(files) == [good, *bad, evil]
    assert [files[path]["verdict"] for path in files] == ["CLEAN", *["UNSCANNABLE"] * len(bad), "MALICIOUS"]
    assert {finding["code"] for path in bad for finding in files[path]["findings"]} == {"file.unreadable"}
    lines = output.err.splitlines()
    assert len(lines) == len(bad)
    assert all(path in line for path, line in zip(bad, lines, strict=True))


@contextmanager
def no_rights() -> Iterator[None]:
    """Gives up root's right to read everything for a while; others have none to give up."""
    import_module("picklegate.scan")  # while it may be read
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def test_files_without_permission_are_unreadable(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """A file and a folder that may not be read are said to be so."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        (Path(folder) / "closed").mkdir(mode=0)
        (Path(folder) / "file").touch(mode=0)
        with no_rights():
            assert run("scan", folder) == 2
        assert capsys.readouterr().err == (
            f"picklegate: {folder}/closed: Permission denied\npicklegate: {folder}/file: Permission denied\n"
        )


@pytest.mark.usefixtures("fake_scan")
def test_folders_are_read_in_order_and_once(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files come sorted; links to files are followed, as in a Hub cache; a loop of links ends."""
    for folder in ("b", "a", "a/deep"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, "CLEAN", "CLEAN")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "link").symlink_to(tmp_path / "b" / "0")
    assert run("scan", tmp_path, tmp_path / "b", "--format", "json") == 0
    paths = [os.path.relpath(file["path"], tmp_path) for file in json.loads(capsys.readouterr().out)["files"]]
    assert paths == ["a/0", "a/1", "a/deep/0", "a/deep/1", "a/link", "b/0", "b/1"]


@pytest.mark.usefixtures("fake_scan")
def test_an_empty_folder_is_said_to_be_empty(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing found is no failure, and is not silent either."""
    assert run("scan", tmp_path) == 0
    output = capsys.readouterr()
    assert output.out == "0 files\n"
    assert output.err == "picklegate: no files found\n"


@pytest.mark.usefixtures("fake_scan")
def test_an_interrupted_scan_reports_what_was_done(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C leaves a report that says it is not complete, and one line."""
    assert run("scan", "--format", "json", *write(tmp_path, "MALICIOUS", "KeyboardInterrupt", "CLEAN")) == 130
    output = capsys.readouterr()
    assert json.loads(output.out)["summary"] == {
        "files": 1, "malicious": 1, "unscannable": 0, "suspicious": 0, "clean": 0, "allowed": 0,
        "nothing_judged": 0, "complete": False
    }  # fmt: skip
    assert output.err == "picklegate: interrupted, after 1 file: 1 malicious\n"


@pytest.mark.usefixtures("fake_scan")
def test_a_failure_of_the_installation_is_one_line(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error of the gate's own is told without a traceback."""
    run("scan", *write(tmp_path, "ModelDataError"))
    assert capsys.readouterr().err == "picklegate: the model's digest is wrong\n"


def test_output_goes_to_a_file(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With -o the report is in the file, stdout stays empty, and the summary is on stderr."""
    (evil,) = write(tmp_path, HOSTILE)
    report = tmp_path / "report.txt"
    assert run("scan", evil, "-o", report) == 1
    assert "os.system('true')" in report.read_text(encoding="utf-8")
    output = capsys.readouterr()
    assert not output.out
    assert output.err == "picklegate: 1 file: 1 malicious\n"


def test_text_says_what_would_run(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A real hostile pickle is told with its callable, its argument and its offset."""
    (evil,) = write(tmp_path, HOSTILE)
    assert run("scan", evil) == 1
    shown = capsys.readouterr().out
    assert shown.startswith(f"MALICIOUS   {evil}")
    assert f"call.execution at byte {HOSTILE.index(b'R')}: loading runs os.system('true')" in shown


def test_file_names_that_are_no_text(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A name that is no valid UTF-8, or that holds a terminal sequence, is escaped as text and kept as JSON."""
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\x1b[2J.pkl")
    try:
        Path(path).write_bytes(HOSTILE)
    except OSError:
        pytest.skip("this file system wants text")
    assert run("scan", tmp_path) == 1
    assert r"/\udcff\x1b[2J.pkl" in capsys.readouterr().out
    assert run("scan", path, "--format", "json") == 1
    assert json.loads(capsys.readouterr().out)["files"][0]["path"] == path


def test_demo_gives_the_tour(run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """``picklegate demo`` prints the tour and exits as the tour did."""

    def tour(echo: Callable[[str], None]) -> int:
        echo("hello")
        return 1

    monkeypatch.setattr("picklegate.demo.tour.run", tour)
    assert run("demo") == 1
    assert capsys.readouterr().out == "hello\n"


@pytest.fixture
def process() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts the command in a process of its own, and ends what is still running."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str | Path, **options: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "picklegate", *map(str, arguments)]
        started.append(subprocess.Popen(command, stderr=subprocess.PIPE, **options))  # type: ignore[call-overload]
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.communicate()


def test_standard_input(process: Callable[..., subprocess.Popen[bytes]]) -> None:
    """A path of - is standard input."""
    command = process("scan", "-", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    shown, errors = command.communicate(HOSTILE, timeout=60)
    assert command.returncode == 1
    assert shown.startswith(b"MALICIOUS   -  ")
    assert not errors


@pytest.mark.parametrize("command", ["scan", "explain"])
def test_an_empty_standard_input_is_not_clean(
    run: Run, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where what comes before in a pipe has failed, nothing was scanned; so where there is no standard input."""
    for stdin in (io.TextIOWrapper(io.BytesIO()), None):
        monkeypatch.setattr(sys, "stdin", stdin)
        assert run(command, "-") == 2
        assert "standard input is" in capsys.readouterr().err


def test_explain_wants_a_file(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder, a pipe and a missing file get one line, without blocking."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "missing"):
        assert run("explain", path) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"picklegate: {path}")
        assert "Errno" not in line


def test_a_reader_that_leaves_is_no_failure(process: Callable[..., subprocess.Popen[bytes]], tmp_path: Path) -> None:
    """A closed pipe, as after ``| head``, gives no traceback and leaves the exit code to the verdicts."""
    reading, writing = os.pipe()
    command = process("scan", *write(tmp_path, HOSTILE), stdout=writing)
    os.close(reading)
    os.close(writing)
    assert command.communicate(timeout=60)[1] == b""
    assert command.returncode == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_is_one_line(process: Callable[..., subprocess.Popen[bytes]], tmp_path: Path) -> None:
    """A report that cannot be written is exit code 2 and one line."""
    with open("/dev/full", "wb") as full:
        command = process("scan", *write(tmp_path, CLEAN), stdout=full.fileno())
        errors = command.communicate(timeout=60)[1]
    assert errors == b"picklegate: the report could not be written: No space left on device\n"
    assert command.returncode == 2


@pytest.fixture
def _interruptible() -> Iterator[None]:
    """Children heed SIGINT, also where the tests themselves run in the background of a script and do not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interruptible")
def test_ctrl_c_from_outside(process: Callable[..., subprocess.Popen[bytes]]) -> None:
    """SIGINT while the scan waits ends it with exit code 130 and one line."""
    command = process("scan", "-", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert command.stdin is not None
    command.stdin.write(bytes(1 << 20))  # more than a pipe holds: when it is written, the command is reading
    command.send_signal(signal.SIGINT)
    shown, errors = command.communicate(timeout=60)
    assert (command.returncode, shown) == (
        130,
        b"The scan was interrupted: files are missing from this report.\n0 files\n",
    )
    assert errors == b"picklegate: interrupted, after 0 files\n"


def test_ctrl_c_while_starting() -> None:
    """SIGINT that comes while the modules of the command are imported gives one line, too."""
    code = """if True:
        import sys

        class Interrupted:
            def find_spec(self, name, *rest):
                if name == "click":
                    raise KeyboardInterrupt

        sys.meta_path.insert(0, Interrupted())
        from picklegate.__main__ import main
        main()
    """
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (130, b"picklegate: interrupted\n")
