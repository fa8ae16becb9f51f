"""What a text or bytes argument looks like: code, a command, a place on the network, something encoded."""

from __future__ import annotations

import base64
import binascii
import bz2
import lzma
import math
import re
import string
import unicodedata
import zlib
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from picklegate.judging import encoded_text


class _Sign:
    """A pattern, and the substrings one of which a text must have before it is worth a search."""

    __slots__ = ("_needles", "_pattern", "_search")

    def __init__(self, pattern: str, *needles: str) -> None:
        self._pattern = pattern
        self._needles = needles
        self._search: Callable[[str], object] | None = None

    def shows(self, text: str) -> bool:
        """Whether the text has the sign."""
        for needle in self._needles:
            if needle in text:
                search = self._search = self._search or re.compile(self._pattern, re.ASCII).search
                return search(text) is not None
        return False


_MODULES = "os|sys|subprocess|socket|shutil|pty|builtins|requests|urllib|ctypes|base64|pathlib|platform"
_COMMANDS = (
    "rm|chmod|chown|mkfifo|touch|cat|echo|ls|cp|mv|kill|sudo|id|whoami|uname|env|export|crontab|nohup|mkdir|sleep|tee|dd"
    "|xargs"
)
_FETCHERS = "curl|wget|nc|ncat|netcat|socat|scp|ssh|ftp|tftp|certutil|bitsadmin|nslookup|dig|ping"
_BEGINNINGS = "for|while|if|with|try|raise|assert|return|del|global"
_PROGRAMS = "calc|notepad|reboot|shutdown|xcalc|gnome-calculator"

_CODE = (
    _Sign(
        r"\bimport\s{1,9}[A-Za-z_][\w.]{0,80}(\s{0,9}[;,\n]|\s{0,9}$|\s{1,9}as\b)|\bfrom\s{1,9}[\w.]{1,80}\s{1,9}import\b",
        "import",
    ),
    _Sign(r"\b(__import__|import_module)\s*\(", "__import__", "import_module"),
    _Sign(
        r"\b(exec|eval|compile|execfile|getattr|globals|locals|setattr)\s*\(", "exec", "eval", "compile", "attr", "als"
    ),
    _Sign(
        rf"\b({_MODULES})\s{{0,9}}\.\s{{0,9}}[a-z_][\w.]{{0,60}}\s{{0,9}}\(",
        *(f"{name}{dot}" for name in _MODULES.split("|") for dot in (".", " .")),
    ),
    _Sign(r"__(class|bases?|subclasses|globals|builtins|mro|dict|getattribute|code|reduce\w*)__", "__"),
    _Sign(r"\blambda\b[^:\n]{0,60}:|\bdef\s+\w+\s*\(|\bclass\s+\w+\s*[(:]", "lambda", "def", "class"),
    _Sign(
        r"\b(open|print|input|system|popen|Popen|run|call|check_output|write|read|connect|sleep|exit|__init__)\s*\(",
        "(",
        " (",
    ),
    _Sign(r"\)\s{0,9}(\.\s{0,9}\w{1,60}\s{0,9})?\(", ")"),
    _Sign(rf"^\s*({_BEGINNINGS})\b.*:?", ""),
    _Sign(r"\b\w{1,60}\s{0,9}=\s{0,9}([\w\"'\[({][^=\n;]{0,200}[;\n]|\w{1,60}\()", "="),
)
_SHELL = (
    _Sign(
        r"[|;&]\s*(ba|z|da|k|c|tc)?sh\b|\b(ba|z|da)?sh\s+-[a-z]*[ic]\b|\b(cmd|powershell|pwsh)(\.exe)?\b\s*[/-]",
        *("|", ";", "&", "sh -", "sh\t", "cmd", "powershell", "pwsh"),
    ),
    _Sign(rf"\b({_FETCHERS})\b\s+\S", *_FETCHERS.split("|")),
    _Sign(
        r"\b(python[23]?|perl|ruby|node|php)\s+-[a-z]*[cer]\b|\bpython[23]?\s+\S+\.py\b",
        "python",
        "perl",
        "ruby",
        "node",
        "php",
    ),
    _Sign(
        r"/dev/(tcp|udp|null|shm)|[12]?>&\s*[12]|<&|\$\(|`[^`]+`|>>?\s*[/~\w.]+|\|\s*\w|&&|\|\|",
        *("/dev/", ">", "<&", "$(", "`", "|", "&&"),
    ),
    _Sign(rf"\b({_COMMANDS})\b(\s+[-/.~$\"'\w]|$)", ""),
    _Sign(rf"^\s*({_PROGRAMS})(\.exe)?\b", ""),
    _Sign(r"(^|\s)(/usr)?/s?bin/\w+|C:\\+Windows|%\w+%|\$\{?[A-Z]\w*", "bin/", "C:\\", "%", "$"),
)
_TELLING_CHARACTERS = re.compile(r"[()=|;&<>$`%\\]|__")
_TELLING_WORDS = frozenset(
    (
        *("import", "lambda", "def", "class", *_COMMANDS.split("|"), *_FETCHERS.split("|")),
        *("sh", "bash", "zsh", "dash", "cmd", "powershell", "pwsh", "dev", "bin", "sbin"),
        *("python", "python2", "python3", "perl", "ruby", "node", "php"),
    )
)
_FIRST_WORDS = frozenset((*_BEGINNINGS.split("|"), *_PROGRAMS.replace("-", "|").split("|")))
_WORDS = re.compile(r"\w+", re.ASCII)
_URL = re.compile(
    r"\b(https?|ftps?|wss?|tcp|udp|file|smb|ldaps?|rmi|gopher|dns|s3|gs)://"
    r"|\b\d{1,3}(\.\d{1,3}){3}(:\d+)?\b|\.onion\b|\\\\\w+\\",
    re.ASCII,
)
_PLACING = re.compile(r"[/.:\\]")
"""What an address, a dotted name or a path has, all but the _FILES."""
_FILES = ("etc", "passwd", "shadow", "id_rsa", "authorized_keys", "crontab")
_PATH = re.compile(
    r"^(~|\.{1,2})?/[\w.@~ -]+(/|$)|^[A-Za-z]:\\|(^|/)"
    rf"(\.ssh|\.aws|\.bashrc|\.profile|{'|'.join(_FILES)})(/|\b)"
    r"|^\w[\w.-]*\.(py|sh|so|dll|exe|pth|bat|ps1|pyc|pkl|pickle|zip|whl)$",
    re.ASCII,
)
_DOTTED = re.compile(r"[A-Za-z_]\w*([.:][A-Za-z_]\w*)+", re.ASCII)
_WORD = re.compile(r"[\w.:+#/-]{0,64}", re.ASCII)
_ENCODED = re.compile(r"[A-Za-z0-9+/_-]{40,}={0,2}|(\\x[0-9a-fA-F]{2}){6,}")
_SPECIAL = re.compile(
    r"__(setstate|reduce|reduce_ex|call|init|new|del|getattr|getattribute|getitem|setitem|enter|exit|iter|next|class"
    r"|globals|builtins|code|subclasses|bases?|mro|import|hash|eq|repr|str|get|set)__"
)
_BRIEF = 256
"""Characters up to which many looks are remembered: a list of words may be given to call after call."""
_LONG = 4096
_TELLING = 3
"""Of the signs of a command, the first that also count in a text of more than _LONG characters."""
_SYMBOLS = frozenset("()[]{}<>=;|&$*+%!`'\"\\@^~?#")
_HEX = frozenset(string.hexdigits)
_DIGEST = 64
"""Hexadecimal digits up to which a text is more likely a digest than encoded bytes."""


class Look(NamedTuple):
    """What one text looks like; each field is a count of distinct signs, or 0 / 1."""

    code: int
    shell: int
    url: int
    path: int
    encoded: int
    dotted: int
    word: int
    special: int
    symbols: int


NOTHING = Look(0, 0, 0, 0, 0, 0, 0, 0, 0)
_DULL = NOTHING._replace(word=1)


def look(text: str) -> Look:
    """The look of one text argument."""
    return _short(text) if len(text) <= _BRIEF else _long(text)


def _look(text: str) -> Look:
    if len(text) < 2:
        return _DULL
    plain = text.isidentifier()
    code = shell = 0
    read = text if plain else _as_python_reads(text)
    if _may_tell(read):
        shell = sum([sign.shows(read) for sign in (_SHELL if len(text) < _LONG else _SHELL[:_TELLING])])
        code = 0 if plain else sum([sign.shows(read) for sign in _CODE])
    if plain:
        return Look(0, shell, 0, 0, _encoded(text), 0, 1, int(_SPECIAL.fullmatch(text) is not None), 0)
    placed = _PLACING.search(text) is not None
    return Look(
        code=code,
        shell=shell,
        url=int(placed and _URL.search(text) is not None),
        path=int((placed or text.startswith(_FILES)) and _PATH.search(text[:512]) is not None),
        encoded=_encoded(text),
        dotted=int(placed and _DOTTED.fullmatch(text) is not None),
        word=int(_WORD.fullmatch(text) is not None),
        special=0,
        symbols=len(_SYMBOLS.intersection(text)),
    )


def _as_python_reads(text: str) -> str:
    """The text with names in other letters as the tokenizer takes them (NFKC), and with lines joined at backslashes."""
    if not text.isascii():
        text = _FOREIGN.sub(lambda run: unicodedata.normalize("NFKC", run[0]), text)
    return text.replace("\\\n", " ")


_FOREIGN = re.compile(r"[^\W\x00-\x7f]+")

_short = lru_cache(maxsize=1 << 15)(_look)
_long = lru_cache(maxsize=64)(_look)


def _may_tell(text: str) -> bool:
    """Whether a text has one of the characters or words without which no sign of code or of a command shows."""
    if _TELLING_CHARACTERS.search(text):
        return True
    words = _WORDS.findall(text)
    return bool(words) and (words[0] in _FIRST_WORDS or not _TELLING_WORDS.isdisjoint(words))


def _encoded(text: str) -> int:
    """1 where a run looks like base64 (both cases and digits) or hexadecimal bytes."""
    found = _ENCODED.search(text) if len(text) >= 24 else None
    if found is None:
        return 0
    run = found[0]
    if run.startswith("\\x"):
        return 1
    if _HEX.issuperset(run):
        return int(len(run) > _DIGEST and not run.isdigit())
    return int(any(c.islower() for c in run) and any(c.isupper() for c in run) and any(c.isdigit() for c in run))


def entropy(data: bytes) -> float:
    """Bits per byte of the first 4,096 bytes, in [0, 8]."""
    total = min(len(data), 4096)
    if not total:
        return 0.0
    shared = sum([n * math.log2(n) for n in Counter(data[:4096]).values() if n > 1])
    return max(0.0, math.log2(total) - shared / total)


_MOST_INSIDE = 1 << 16
"""Bytes that are unpacked of one text or blob."""
_LEAST_INSIDE = 4
"""Characters from which on bytes count as a text."""
_MOST_WRAPPINGS = 3
_UNPACKERS: dict[bytes, Callable[[], Any]] = {
    b"\x78\x01": zlib.decompressobj,
    b"\x78\x5e": zlib.decompressobj,
    b"\x78\x9c": zlib.decompressobj,
    b"\x78\xda": zlib.decompressobj,
    b"\x1f\x8b": lambda: zlib.decompressobj(31),
    b"BZ": bz2.BZ2Decompressor,
    b"\xfd7": lzma.LZMADecompressor,
}
"""What unpacks bytes, by the first two of them."""


def inside(value: str | bytes, wrappings: int = 0) -> tuple[str, ...]:
    """The texts that bytes are, or that bytes or a text hold compressed, in base64 or in hexadecimal."""
    if isinstance(value, str):
        run = _ENCODED.search(value) if _encoded(value) else None
        data = _decoded(run[0]) if run is not None else b""
        return inside(data, wrappings + 1) if data and wrappings < _MOST_WRAPPINGS else ()
    unpacker = _UNPACKERS.get(value[:2])
    if unpacker is not None and wrappings < _MOST_WRAPPINGS:
        try:
            return inside(unpacker().decompress(value, _MOST_INSIDE), wrappings + 1)
        except (zlib.error, OSError, lzma.LZMAError, EOFError):
            return ()
    texts = [text for text in encoded_text.readings(value[:_MOST_INSIDE]) if len(text) >= _LEAST_INSIDE]
    return tuple(part for text in texts for part in (text, *inside(text, wrappings + 1)))


def _decoded(run: str) -> bytes:
    """What a run of base64 or hexadecimal digits stands for, empty where it is neither."""
    try:
        if run.startswith("\\x"):
            return bytes.fromhex(run.replace("\\x", " "))
        if _HEX.issuperset(run) and len(run) % 2 == 0:
            return bytes.fromhex(run)
        digits = run.rstrip("=")
        return base64.b64decode(digits + "=" * (-len(digits) % 4), b"-_" if "-" in run or "_" in run else None)
    except (ValueError, binascii.Error):
        return b""


def machine_code(data: bytes) -> bool:
    """Whether bytes begin as an executable, a library, an archive of code or a script does."""
    return data.startswith((b"\x7fELF", b"MZ\x90", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"#!/", b"#! /"))
