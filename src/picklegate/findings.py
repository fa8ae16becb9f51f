"""The table of findings: what each code means, which verdict it carries, what decided, and what to do.

docs/findings.md is made from it (``python -m tools.findings_page``); SARIF rules, ``picklegate explain`` and
``picklegate rule`` read it. A new code needs one row here, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from picklegate.report import Verdict

CLEAN, SUSPICIOUS, UNSCANNABLE, MALICIOUS = Verdict
MODEL, PROOF, RULE, FAULT = "model", "execution", "rule", "fault"
"""What decides, the strongest last in a report's words: the score, a proof, a fixed rule, or a fault of the bytes."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One row: all findings that have this code.

    ``verdict`` is the one that the finding carries, in ``milder`` cases the other one. ``decided_by`` is ``"model"``,
    ``"execution"`` (a proof), ``"rule"`` or ``"fault"``. ``meaning`` and ``advice`` are sentences in Markdown without
    links.
    """

    code: str
    verdict: Verdict
    decided_by: str
    meaning: str
    advice: str
    milder: Verdict | None = None

    @property
    def summary(self) -> str:
        """The first sentence of the meaning."""
        return f"{self.meaning.partition('. ')[0].rstrip('.')}."


DO_NOT_LOAD = "Do not load the file."
_AS_PRIMITIVE = "Treat it as a call of that primitive: do not load the file."
_REFETCH = "Download the file again. If it is complete, it is broken, and no loader accepts it."
_REFETCH_ARCHIVE = "Download it again: the download was cut off, or the file is damaged."
_HOSTILE = "No pickler writes this: treat the file as hostile unless its author can explain it."
_HOSTILE_ZIP = "No archiver writes this: treat the file as hostile unless its author can explain it."
_BOUND = (
    "Real models stay far below the limit. If yours does not, raise it with `Policy(limits=...)` or in the policy file."
)

# fmt: off
GROUPS: tuple[tuple[str, str, tuple[Kind, ...]], ...] = (
    ("What loading would run", "", (
        Kind("call.score", MALICIOUS, MODEL,
             "The model judges a call, a construction or a state write as hostile, by the callable's name, its arguments and what becomes of the result. The message names the features that raised the score most; the JSON form has them as `contributions`, with the log-odds that each added.",
             "Read the callable and its arguments. If it is a class of a library that you know, you can allow its import. Never allow a callable that takes code, a command, a path or an address.", SUSPICIOUS),
        Kind("call.execution", MALICIOUS, PROOF,
             "Loading calls a primitive that runs code, a command or machine code, such as `os.system` or `eval`. No honest file needs one, so the score does not matter.",
             "Do not load the file. If it came from a hub, report it there."),
        Kind("call.made-function", MALICIOUS, PROOF,
             "The stream builds a function out of byte code and calls it while loading: code that no import shows. It is suspicious where the code calls something that can do harm or of which nothing is known, and malicious where the code itself names the harm.",
             DO_NOT_LOAD, SUSPICIOUS),
        Kind("call.made-method", SUSPICIOUS, RULE,
             "The stream brings a class of its own and makes an instance of it, and loading runs a method of that class (`__setstate__`, `__hash__`, ...). The class's byte code names something that reaches execution, files or the network.",
             "Ask the author for a file without code, such as safetensors, or read the class first."),
        Kind("call.write", SUSPICIOUS, RULE,
             "Loading calls something that reads, writes, moves or deletes files, reaches the network or other programs, or changes what the whole process uses (`sys.path`, `os.environ`, copyreg's registry). Models do not.",
             DO_NOT_LOAD),
        Kind("call.capability", SUSPICIOUS, RULE,
             "Loading calls something that hands one of its arguments to what runs code, starts programs, loads native code or pickles, imports, connects, writes, deletes or changes the process. The message names the argument, the primitive, and the line of source that does it.",
             "Read that line. Load the file only if the argument that it hands over is one that you would hand over yourself."),
        Kind("call.handed-on", SUSPICIOUS, RULE,
             "Loading hands a function to something that calls it, and the function can do harm, or nothing is known of it.",
             "Treat it as a call of that function."),
        Kind("call.unknown-function", SUSPICIOUS, RULE,
             "Loading calls a function that no honest project is known to call, of which the index of capabilities cannot tell what it does, and hands it a text, bytes, a callable or the result of another function. Classes are judged otherwise; given only numbers and arrays, the call is shown and does not block (`Policy(strict=True)` blocks it too).",
             "Read the function. If you know the library, you can allow its import.", CLEAN),
        Kind("call.contract", SUSPICIOUS, RULE,
             "Loading calls something well known with arguments that the real one refuses, such as `OrderedDict('ls -la')`: the name stands for something else, or the file was not made by its library.",
             "Ask the author how the file was made. Do not load it beside modules that came with it."),
        Kind("call.unresolved", SUSPICIOUS, RULE,
             "Loading calls an object that static analysis cannot resolve. Honest files call what they import.",
             "Look at what made the callable, which the message says. Load the file only where it may run anything."),
        Kind("argument.execution", SUSPICIOUS, PROOF,
             "Loading hands a code-execution primitive to another callable, which may call it later.",
             _AS_PRIMITIVE),
        Kind("import.execution", SUSPICIOUS, PROOF,
             "The stream imports a code-execution primitive. Honest files have no use for it, whether or not this stream calls it.",
             _AS_PRIMITIVE),
        Kind("import.unresolved", SUSPICIOUS, RULE,
             "The stream computes the name of an import while loading, or the name goes through other modules, so that what it leads to cannot be resolved. Picklers write names as plain text, and an object by the module that defines it.",
             "Treat the file as hostile unless its author can explain it."),
        Kind("import.acts", SUSPICIOUS, RULE,
             "The stream imports a module that runs when it is imported, such as the `__main__` of a package. Nothing in it is ever part of a model.",
             "Treat the file as hostile unless its author can explain it."),
        Kind("import.extension", SUSPICIOUS, RULE,
             "An `EXT` opcode stands for an object that the loading process has registered with `copyreg`. The file does not say which object. Hardly any file uses this opcode.",
             "Ask the author which registry the file was written for."),
        Kind("state.execution", MALICIOUS, PROOF,
             "Loading writes a code-execution primitive into an object or a module, so that the next one who uses it runs it.",
             DO_NOT_LOAD),
        Kind("state.planted-method", SUSPICIOUS, RULE,
             "Loading gives an instance a method such as `append` or `__setstate__`, which the next opcode calls: a call that no opcode shows. No serialiser writes that.",
             DO_NOT_LOAD),
        Kind("state.capability", SUSPICIOUS, RULE,
             "Loading stores a function that runs code, starts programs, loads native code or imports by name in an object that may call it later: loading does not, first use may. A note where honest projects keep such a function (`loader=torch.load`).",
             "Do not use the object before you know why it holds the function.", CLEAN),
        Kind("state.on-global", SUSPICIOUS, PROOF,
             "Loading writes attributes or items into an imported module, class or function, or has a helper of cloudpickle or dill do that. This changes the object for all other code in the process.",
             "Honest state goes into objects that the stream makes itself: ask the author why this state does not."),
    )),
    ("How the stream reads", "A stream on which a loader would fail is `UNSCANNABLE` and not harmless: what stands before the fault has run by then. The report has everything up to the fault.", (
        Kind("stream.truncated", UNSCANNABLE, FAULT,
             "The stream ends before its `STOP` opcode.",
             _REFETCH),
        Kind("stream.underflow", UNSCANNABLE, FAULT,
             "Stack underflow: an opcode needs a value and the stack is empty.",
             _REFETCH),
        Kind("stream.memo-missing", UNSCANNABLE, FAULT,
             "The stream reads a memo entry that it has not set.",
             _REFETCH),
        Kind("stream.bad-argument", UNSCANNABLE, FAULT,
             "An opcode is unknown, or no loader accepts its argument.",
             _REFETCH),
        Kind("stream.frame", SUSPICIOUS, FAULT,
             "A frame overlaps another one, or reaches past the end of the data or past `STOP`. Versions of Python differ in what they run then; both readings were judged.",
             _HOSTILE),
        Kind("stream.frame-cut", UNSCANNABLE, FAULT,
             "An argument lies across the end of a frame. Unpicklers differ in where they read on; both readings were followed as far as possible.",
             _HOSTILE),
        Kind("stream.protocol", SUSPICIOUS, FAULT,
             "The stream claims a protocol that does not exist. Loaders refuse it, lenient readers do not.",
             _HOSTILE),
        Kind("stream.nested-unread", SUSPICIOUS, FAULT,
             "Loading would unpickle a second stream that is not in this file, such as one from a path.",
             "Find that stream and scan it."),
        Kind("stream.trailing", CLEAN, FAULT,
             "Bytes that are no pickle follow `STOP`. Loaders ignore them.",
             "Nothing."),
    )),
    ("What the container hides", "", (
        Kind("container.no-stream", UNSCANNABLE, FAULT,
             "The file's name or header promises a pickle, and no loader would find one. A check that read nothing has not passed.",
             "Download the file again. If it is no pickle, give it a name that does not say so."),
        Kind("zip.no-directory", UNSCANNABLE, FAULT,
             "The archive ends without its directory.",
             _REFETCH_ARCHIVE),
        Kind("zip.truncated", UNSCANNABLE, FAULT,
             "A member is longer than the archive.",
             _REFETCH_ARCHIVE),
        Kind("zip.damaged", UNSCANNABLE, FAULT,
             "A member does not decompress to its end.",
             _REFETCH_ARCHIVE),
        Kind("zip.no-local-header", UNSCANNABLE, FAULT,
             "The directory lists a member where the archive holds none.",
             _REFETCH_ARCHIVE),
        Kind("zip.encrypted", UNSCANNABLE, FAULT,
             "A member is encrypted, so nobody can check it before it is loaded.",
             "Decrypt it and scan the result."),
        Kind("zip.method", UNSCANNABLE, FAULT,
             "A member is compressed with a method that picklegate does not read.",
             "Pack the archive again with an ordinary tool and scan that."),
        Kind("zip.header-mismatch", SUSPICIOUS, FAULT,
             "A member's two headers disagree, so scanners and loaders read different things. Both readings were scanned.",
             _HOSTILE_ZIP),
        Kind("zip.duplicate-member", SUSPICIOUS, FAULT,
             "Several members have the same name, letter case aside. torch takes one, other readers take another; all were scanned.",
             _HOSTILE_ZIP),
        Kind("zip.several-directories", SUSPICIOUS, FAULT,
             "The archive has several directories, and readers choose differently. All were scanned.",
             _HOSTILE_ZIP),
        Kind("zip.end-record-mismatch", SUSPICIOUS, FAULT,
             "The record at the archive's end does not describe its directory.",
             _HOSTILE_ZIP),
        Kind("zip.ambiguous-offset", SUSPICIOUS, FAULT,
             "A member may stand in two places, because readers differ in where offsets count from. Both were scanned.",
             _HOSTILE_ZIP),
        Kind("zip.overlap", SUSPICIOUS, FAULT,
             "Members share bytes: a bomb, or two views of one content.",
             _HOSTILE_ZIP),
        Kind("zip.bad-checksum", SUSPICIOUS, FAULT,
             "A member's checksum is wrong. torch loads it all the same; other readers refuse it and so see nothing.",
             "Download it again. If the checksum is still wrong, treat the file as hostile."),
        Kind("zip.prefixed", CLEAN, FAULT,
             "A zip archive follows other content. Both were scanned.",
             "Nothing."),
        Kind("tar.link", UNSCANNABLE, FAULT,
             "In an old torch tar, a member that torch unpickles is a link to another member. torch never writes that.",
             DO_NOT_LOAD),
        Kind("tar.damaged", UNSCANNABLE, FAULT,
             "The archive cannot be read to its end.",
             _REFETCH_ARCHIVE),
        Kind("7z.damaged", UNSCANNABLE, FAULT,
             "The archive cannot be read to its end.",
             _REFETCH_ARCHIVE),
        Kind("archive.damaged", UNSCANNABLE, FAULT,
             "Compressed data breaks off. It is the milder verdict where every stream in it was read to its end.",
             _REFETCH_ARCHIVE, SUSPICIOUS),
        Kind("archive.library-missing", UNSCANNABLE, FAULT,
             "Reading the format needs a library that is not installed.",
             "Run `pip install 'picklegate[archives]'` and scan again."),
        Kind("archive.unsupported", UNSCANNABLE, FAULT,
             "picklegate does not read this archive format.",
             "Unpack it and scan the result."),
        Kind("archive.too-deep", UNSCANNABLE, FAULT,
             "Containers are nested deeper than the limit.",
             "Unpack the outer ones and scan the result."),
        Kind("joblib.unknown-array", UNSCANNABLE, FAULT,
             "The length of an array between the opcodes is not known, so neither is the place where the opcodes go on.",
             "Save the object again with a current joblib, and scan that."),
        Kind("joblib.ambiguous-type", UNSCANNABLE, FAULT,
             "An array's type gets another size after its length was computed from it, so readers go on at different places.",
             "Treat the file as hostile unless its author can explain it."),
        Kind("joblib.sibling-files", CLEAN, FAULT,
             "The file keeps its arrays in other files, which a loader unpickles too.",
             "Scan those files as well; scanning the folder does."),
        Kind("joblib.sibling-elsewhere", SUSPICIOUS, FAULT,
             "The file loads arrays from another folder than its own.",
             "Find those files and scan them, or treat the file as hostile."),
        Kind("npy.unknown-header", UNSCANNABLE, FAULT,
             "The header of a numpy array cannot be read, so it is not known whether a pickle follows.",
             "Download it again."),
        Kind("npy.truncated", UNSCANNABLE, FAULT,
             "A numpy array is longer than the file, so it is not known where a reader goes on.",
             "Download it again."),
        Kind("torch.script-operator", SUSPICIOUS, RULE,
             "The TorchScript code in the archive calls an operator that reaches files, programs or the network, or, in code that loading may run (`__setstate__`), one of a library that picklegate does not know.",
             "Read the files under `code/` in the archive. Do not load a file whose code writes or reads files."),
        Kind("torch.package-code", SUSPICIOUS, RULE,
             "The archive was made by `torch.package` and brings Python modules, which its importer runs.",
             "Read the modules in the archive as you would read a program that you are about to run."),
        Kind("torch.unknown-storage", UNSCANNABLE, FAULT,
             "The length of a storage in an old torch archive is not known, so neither is the place where pickles go on.",
             "Save it again with a current torch, and scan that."),
        Kind("stable-baselines.bad-base64", UNSCANNABLE, FAULT,
             "An object that Stable-Baselines would unpickle is not valid base64.",
             "Download it again."),
    )),
    ("What was too much", "Every bound on reading is in `Limits`. What passes one is `UNSCANNABLE`: a bomb must not pass as clean.", (
        Kind("limit.stream", UNSCANNABLE, FAULT, "A stream has more opcodes, values, marks or imports than a scan accepts.", _BOUND),
        Kind("limit.opcodes", UNSCANNABLE, FAULT, "The streams of the file together have more opcodes, or more calls, than a scan accepts for a file of its size.", _BOUND),
        Kind("limit.time", UNSCANNABLE, FAULT,
             "Reading or judging the file takes more processor time than a scan gives to one file (`Limits.max_seconds`). The report has what was seen until then. This limit alone depends on the machine too.",
             _BOUND),
        Kind("limit.depth", UNSCANNABLE, FAULT, "Streams or values are nested too deep.", _BOUND),
        Kind("limit.literal", UNSCANNABLE, FAULT,
             "A text of more than a megabyte is given to a callable other than a plain constructor. Only its two ends were read.",
             "If you know the file, raise `Limits.max_literal_bytes`."),
        Kind("limit.streams", UNSCANNABLE, FAULT, "There are too many streams.", _BOUND),
        Kind("limit.members", UNSCANNABLE, FAULT, "The archive has too many members.", _BOUND),
        Kind("limit.report", UNSCANNABLE, FAULT, "The streams of the file import and call more than a report tells of a file of its size.", _BOUND),
        Kind("limit.held", UNSCANNABLE, FAULT, "The pickles of the file are longer than a scan holds in memory.", _BOUND),
        Kind("limit.inflated", UNSCANNABLE, FAULT, "Decompressing would pass a limit on size, on ratio or on memory.", _BOUND),
    )),
    ("What could not be opened", "Where many files are scanned, one such file does not end the scan of the others.", (
        Kind("file.unreadable", UNSCANNABLE, FAULT,
             "The file is missing, may not be read, is a pipe or a device, or is an empty standard input. The message says which.",
             "Correct the path or its permissions."),
        Kind("file.crashed", UNSCANNABLE, FAULT,
             "picklegate itself failed on the file, which is a defect. The message names the error.",
             "Report it, if you can with the file."),
        Kind("file.killed", UNSCANNABLE, FAULT,
             "The process that scanned the file was ended from outside, as systems do when memory runs out.",
             "Scan the file by itself with more memory, or treat it as hostile."),
    )),
    ("What a guard refused while loading", "These come with the `BlockedError` of a [guard](guards.md), never with a scan.", (
        Kind("guard.unseen-import", MALICIOUS, RULE,
             "A loader asked for an import that the scan had not listed, so the loader reads the file otherwise than picklegate does. The import did not happen.",
             "Do not load the file by other means. Please report it with the file: the scan should have seen the name."),
        Kind("guard.foreign-module", SUSPICIOUS, RULE,
             "A module does not come from where it was installed: it lies beside the model, hides an installed package, or replaces a part of the standard library.",
             "If the module is yours, import it before the load. If it came with the model, do not load the model."),
        Kind("guard.effect", MALICIOUS, RULE,
             "Loading would do something other than make objects: start a process, write a file, use the network, change the running program, and so on. It was stopped before it happened, or undone.",
             "Ask who made the file. If this is meant to happen, allow that kind of effect (`Policy(allow_effects=(...))`)."),
        Kind("guard.changed", UNSCANNABLE, FAULT,
             "The file was written to between its scan and the end of the load.",
             "Wait until whatever writes the file has finished, and load it again."),
        Kind("guard.unvetted-load", UNSCANNABLE, FAULT,
             "In a guarded process an unpickler asked for an import, and the guard has not seen where its data comes from.",
             "Install the guard before importing the code that loads, load with `safe_pickle_load`, or allow the import."),
    )),
    ("What the Hub says", "", (
        Kind("hub.changed-content", MALICIOUS, FAULT,
             "The server sends other bytes than it showed when the file was judged, or than its own digest says. Nothing of the difference was given out.",
             "Do not use this server for the file. Ask whoever runs the server or a mirror before it."),
        Kind("hub.hostile-name", MALICIOUS, RULE,
             "The server's name for a content or a commit is a path, and the Hub's client would write outside its cache with it. The real Hub does not do that.",
             "Do not use this endpoint or mirror."),
        Kind("hub.status", CLEAN, RULE,
             "The Hub's own scanners object to the file, with the word that the note quotes. picklegate judges by itself and does not adopt their verdict.",
             "Look at the file's page on the Hub, which names the scanner and its reason."),
        Kind("hub.no-parts", UNSCANNABLE, FAULT,
             "The server does not support range requests, or answers them wrongly. The file cannot be judged before it is downloaded.",
             "Run `picklegate download`: it judges what arrives before letting it in."),
    )),
)
# fmt: on

KINDS = {kind.code: kind for _, _, kinds in GROUPS for kind in kinds}
"""Code -> its row, in the order of the page."""


def decided_by(codes: Iterable[str]) -> str:
    """What decided, of the codes that carry the verdict: a proof before the model, that before a rule or a fault."""
    deciding = {KINDS[code].decided_by for code in codes}
    return next(by for by in (PROOF, MODEL, RULE, FAULT) if by in deciding)
