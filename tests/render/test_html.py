"""The HTML report: it says the reason, needs no network, and runs nothing that a file brings."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from picklegate import scan_bytes
from picklegate.render import html
from picklegate.report import Call, FileReport, Finding, Instruction, StreamReport, Verdict

CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium") or shutil.which("google-chrome")
MARKUP = "\"'><img src=x onerror=document.title=1></script></style><script>document.title=2</script>\x1b[2J\u202e\ud800"


def hostile() -> FileReport:
    """A report with markup in each of its texts."""
    finding = Finding(
        code="call.score",
        verdict=Verdict.MALICIOUS,
        message=MARKUP,
        stream=MARKUP,
        offset=3,
        contributions=((MARKUP, 1.5), ("shell", 0.5)),
    )
    stream = StreamReport(
        name=MARKUP,
        verdict=Verdict.MALICIOUS,
        score=0.99,
        decided_by=MARKUP,
        imports=((MARKUP, MARKUP),),
        calls=(Call(callee=f"{MARKUP}.{MARKUP}", arguments=(MARKUP,), opcode="REDUCE", offset=3, score=0.99),),
        findings=(finding,),
        disassembly=(Instruction(offset=3, opcode="GLOBAL", argument=MARKUP),),
    )
    return FileReport(name=MARKUP, container=MARKUP, size=10, streams=(stream,), findings=(finding,))


class Tags(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        """Reads the page."""
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keeps a tag."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Keeps text."""
        self.text += data


def test_no_text_of_a_file_is_markup() -> None:
    """Names, arguments, messages and features are text, whatever they hold; nothing of them is invisible."""
    page = html.render([hostile()], groups={MARKUP: [hostile()], "b": []}, subject=MARKUP, notices=[(MARKUP, [MARKUP])])
    read = Tags(page)
    names = [tag for tag, _ in read.tags]
    assert names.count("script") == 1
    assert names.count("style") == 1
    assert "img" not in names
    assert not [name for _, attributes in read.tags for name in attributes if name.startswith("on")]
    assert not set("\x1b\u202e\ud800") & set(page)
    assert read.text.count("<img src=x onerror=document.title=1>") >= 10


def test_the_page_needs_nothing_from_outside() -> None:
    """No attribute names an address, and the policy lets in the page's own style and script alone."""
    page = html.render([hostile()])
    read = Tags(page)
    assert not [value for _, attributes in read.tags for name, value in attributes.items() if name in ("src", "href")]
    policy = next(attributes["content"] for _, attributes in read.tags if "http-equiv" in attributes)
    assert policy is not None
    assert "default-src 'none'" in policy
    for tag in ("style", "script"):
        source = re.search(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert source
        digest = base64.b64encode(hashlib.sha256(source[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert not [attributes for _, attributes in read.tags if "style" in attributes]


def test_the_reason_comes_first() -> None:
    """What would run stands above the details, with its opcodes, imports and what raised the score."""
    page = html.render([scan_bytes(b"cos\nsystem\n(S'echo inert'\ntR.", name="evil.pkl")])
    text = Tags(page).text
    order = ["1 malicious of 1 file", "Loading runs os.system('echo inert')", "Do not load the file", "Opcodes around"]
    places = [text.index(words) for words in order]
    assert places == sorted(places)
    assert "<span class=at>      27  REDUCE" in page
    assert '<li class="mono bad">os.system</li>' in page
    assert "What raised the score" in text


def test_many_files_stay_one_page() -> None:
    """Clean files are cut before blocked ones, and the page says so."""
    clean = [FileReport(name=f"{number}.pkl", container="raw", size=1) for number in range(html.MAX_ROWS + 5)]
    page = html.render([*clean, hostile()])
    assert page.count("<tr data-verdict") == html.MAX_ROWS
    assert "... and 6 more files." in page
    assert '<tr data-verdict="MALICIOUS"' in page


@pytest.mark.parametrize(
    ("reports", "headline"),
    [
        pytest.param([], "No files were found", id="none"),
        pytest.param([scan_bytes(b"\x80\x04}.")], "The file is clean", id="one-clean"),
        pytest.param([scan_bytes(b"\x80\x04}.")] * 3, "All 3 files are clean", id="all-clean"),
    ],
)
def test_headlines(reports: list[FileReport], headline: str) -> None:
    """The first line answers the question."""
    assert f"<h1>{headline}</h1>" in html.render(reports)


def test_an_interrupted_scan_says_so() -> None:
    """A partial report does not pass for a whole one."""
    assert "The scan was interrupted" in html.render([], complete=False)


def dom(page: str, place: Path) -> str:
    """The document after a browser has run the page."""
    path = place / "report.html"
    path.write_text(page, encoding="utf-8")
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000", "--dump-dom"]
    return subprocess.run([*command, path.as_uri()], capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_browser_runs_nothing_of_a_file(tmp_path: Path) -> None:
    """The title stays, no element appears, and the page's own script has run."""
    page = html.render([hostile()], groups={MARKUP: [hostile()], "b": []})
    shown = Tags(dom(page.replace("<output", "<output data-was=x"), tmp_path))
    assert "picklegate: 1 file: 1 malicious" in shown.text
    assert not [tag for tag, _ in shown.tags if tag == "img"]
    assert sum(tag == "script" for tag, _ in shown.tags) == 1


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_the_table_filters(tmp_path: Path) -> None:
    """Rows that do not match are hidden, and the page says how many are left."""
    page = html.render([hostile(), FileReport(name="good.pkl", container="raw", size=1)])
    type_ = "const f=document.getElementById('filter');f.value='GOOD';f.dispatchEvent(new Event('input'))"
    page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    page = page.replace("</body>", f"<script>{type_}</script></body>")
    shown = dom(page, tmp_path)
    assert "1 of 2 shown" in shown
    assert len(re.findall(r"<tr [^>]*hidden", shown)) == 1


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_the_policy_stops_what_is_not_the_pages_own(tmp_path: Path) -> None:
    """Even markup that slipped through would not run."""
    page = html.render([]).replace("</main>", "<script>document.title='owned'</script></main>")
    assert "<title>owned" not in dom(page, tmp_path)
