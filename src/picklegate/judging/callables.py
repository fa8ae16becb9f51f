"""What is known of callables by name: primitives, reflection, serialiser helpers. Names are canonical (pickles/names.py)."""

from __future__ import annotations

import re
from functools import lru_cache

EXECUTION = r"""
    builtins\.(eval|exec|execfile|breakpoint)
    | os\.(system|popen[234]?|exec[lv]p?e?|spawn[lv]p?e?|posix_spawnp?|startfile|_execvpe)
    | subprocess\.(?!(CompletedProcess|CalledProcessError|TimeoutExpired|SubprocessError|STARTUPINFO|PIPE|STDOUT|DEVNULL)$)\w.*
    | popen2\.\w+ | _aix_support\._read_cmd_output | _osx_support\._read_output
    | pty\.spawn | runpy\.\w+ | (code|_pyrepl\.console)\.(Interactive\w+(\.\w+)?|interact|compile_command)
    | code\.InteractiveInterpreter\.\w+ | codeop\.\w+
    | (pdb|bdb)\.(run|runeval|runcall|main|set_trace|Pdb\b.*|Bdb\b.*)
    | (cProfile|profile)\.(run|runctx|Profile\.run\w*) | trace\.Trace(\.run\w*)? | timeit\.(timeit|repeat|main|Timer(\.\w+)?)
    | doctest\.(debug\w*|testsource|run_docstring_examples) | idlelib\.\w.*
    | pip(\._internal\.\w.*|\.main|\._internal|\.__main__\.\w+)|ensurepip\.\w+|venv\.\w.*
    | ctypes\.(CDLL|PyDLL|WinDLL|OleDLL|LibraryLoader|cdll|windll|pydll|oledll|CFUNCTYPE|PYFUNCTYPE|_CFuncPtr|CFuncPtr|_dlopen|dlopen|call_function)\b.*
    | _dlopen | imp\.load_\w+ | importlib\.machinery\.\w+Loader\.\w+ | importlib\._bootstrap_external\.\w+\.(exec|load)_module
    | importlib\.util\.module_from_spec | importlib\._bootstrap\._load\w* | zipimport\.zipimporter\.load_module
    | distutils\.spawn\.\w+ | setuptools\._distutils\.spawn\.\w+ | numpy\.distutils\.exec_command\.\w+
    | asyncio\.(create_subprocess_\w+|subprocess\.create_\w+|base_events\.BaseEventLoop\.subprocess_\w+|unix_events\.\w+\.\w+)
    | multiprocessing\.(util\.spawnv_passfds|popen_\w+\.\w+) | _winapi\.CreateProcess | _posixsubprocess\.fork_exec
    | torch\.utils\.collect_env\.(run|run_and_\w+) | torch\.utils\._config_module\.ConfigModule\.load_config
    | torch\.(_dynamo|_inductor|distributed|testing)\.\w.*(\.run_cmd|\.exec|\.eval|_exec\w*)
    | numpy\.testing\.(_private\.utils|utils)\.(runstring|rundocs|measure) | numpy\.testing\.(runstring|rundocs|measure)
    | dill\._eval_repr | dill\.source\.(importable|_importable|getimportable)
    | torch\.hub\.(load|_load_local|_get_cache_or_reload)
    | test\.support\.script_helper\.\w+ | uuid\._get_command_stdout | dataclasses\._create_fn | typing\.(get_type_hints|_eval_type|ForwardRef\._evaluate)
    | numpy\.f2py\.crackfortran\.(myeval|_eval_\w+|param_eval) | platform\.popen
    | pydoc\.(pipepager|tempfilepager|locate|safeimport|ttypager|help) | webbrowser\.(GenericBrowser|BackgroundBrowser)\b.*
    | nturl2path\.popen | antigravity\.\w+
    """
"""Calls that run code, a command or foreign machine code, and that no honest file makes: the proof of execution."""

MADE = frozenset((
    "types.FunctionType", "types.LambdaType", "types.CodeType", "dill._create_function", "cloudpickle._make_function",
    "cloudpickle._make_skel_func", "cloudpickle._fill_function", "cloudpickle._make_skel_func", "marshal.loads", "builtins.compile",
))  # fmt: skip
"""Callables that make functions or code; calling what they made is execution."""

REFLECTIVE = frozenset((
    "builtins.getattr", "builtins.setattr", "builtins.delattr", "builtins.hasattr", "builtins.vars", "builtins.globals",
    "builtins.locals", "builtins.__import__", "builtins.apply", "builtins.map", "builtins.filter", "builtins.reduce",
    "builtins.type", "types.PartialType", "builtins.object.__getattribute__", "builtins.type.__getattribute__",
    "functools.partial", "functools.reduce", "functools.partialmethod", "operator.attrgetter", "operator.methodcaller",
    "operator.itemgetter", "operator.getitem", "operator.call", "importlib.import_module", "importlib.__import__",
    "importlib.reload", "itertools.starmap", "itertools.imap", "itertools.accumulate", "types.MethodType", "sys.modules", "dill._get_attr",
    "dill._import_module", "cloudpickle.subimport", "cloudpickle.dynamic_subimport", "inspect.getattr_static",
    "pkgutil.resolve_name", "pydoc.locate", "builtins.compile", "types.FunctionType", "types.CodeType", "types.LambdaType", "marshal.loads",
))  # fmt: skip
"""Calls that reach or build other callables."""

SETTERS = frozenset((
    "cloudpickle._function_setstate", "cloudpickle._class_setstate", "cloudpickle._fill_function",
    "cloudpickle._rehydrate_skeleton_class", "cloudpickle._cell_set", "dill._setitems",
))  # fmt: skip
"""Serialisers' helpers that write into their first argument, which is a function, class, cell or dict of the stream's own."""

CARRIERS = frozenset(("torch.storage._load_from_bytes", "io.BytesIO"))
"""Callables whose bytes are an inner container, which is read and judged as a stream of its own."""

COLUMNS = frozenset(("pyarrow.lib.py_buffer", "pyarrow.lib._restore_array"))
"""Callables whose bytes become the memory of a column, in which any text may stand and which nothing reads as code."""

COLUMNAR = ("pyarrow.", "builtins.str", "builtins.bytes")
"""How the names of those begin whose result may be the text of a column that they are given."""
KEEPING = ("pyarrow.", "pandas.", "polars.")
"""How the names of those begin that are given columns to keep."""

HOLDING = frozenset((
    "builtins.dict", "builtins.frozenset", "builtins.list", "builtins.set", "builtins.tuple",
    "collections.Counter", "collections.OrderedDict", "collections.defaultdict", "collections.deque", "functools.partial",
))  # fmt: skip
"""Constructors of what holds: what they are given in containers or by keywords is data, and goes with their result."""

_SERIALISERS = r"""
    cloudpickle\.(_make_(function|skel_func|skeleton_class|skeleton_enum|cell|empty_cell|typevar|dict_\w+)|_fill_function
        |_function_setstate|_class_setstate|_builtin_type|_lookup_class_or_track|_rehydrate_skeleton_class|_cell_set
        |_empty_cell_value|_get_cell_contents|subimport|dynamic_subimport)
    | dill\._(create_(type|code|function|cell|array|ftype|namedtuple|lock|rlock|stringi|stringo|weakref|weakproxy
        |dtypemeta|typing_tuple|typemap)|load_type|get_attr|import_module|setitems)
    | copyreg\.(_reconstructor|__newobj__|__newobj_ex__)
    | joblib\.numpy_pickle(_compat)?\.(NumpyArrayWrapper|NDArrayWrapper|ZNDArrayWrapper)
    | torch\._utils\._rebuild_\w+ | torch\.(serialization\.)?_get_layout | torch\.jit\._pickle\.\w+ | torch\.storage\._load_from_bytes | torch\._tensor\._rebuild_from_type(_v2)?
    | numpy\.(ndarray|dtype) | numpy\._?core\.(multiarray\.(_reconstruct|scalar|_frombuffer)|numeric\._frombuffer|_internal\._reconstruct)
    | types\.(CodeType|FunctionType|LambdaType|CellType|MethodType|SliceType|ClassMethodType|PartialType)
    | numpy\.random\.(_pickle\.)?__\w+_ctor | numpy\.ma\.core\._mareconstruct
    | pyarrow\.lib\.(py_buffer|_restore_array|type_for_alias)
    """
_CODE_MAKERS = r"types\.(CodeType|FunctionType|LambdaType|CellType)|(cloudpickle|dill)\.(_\w+|subimport)"

_TEXT_TAKERS = r"""
    torch\.(serialization\.)?_get_layout | torch\._utils\._rebuild_\w*from_numpy | torch\.jit\._pickle\.restore_type_tag
    | torch\._tensor\._rebuild_from_type(_v2)? | numpy\.dtype | numpy\._?core\.(numeric|multiarray)\._frombuffer
    | numpy\.random\.(_pickle\.)?__\w+_ctor | copyreg\.\w+ | joblib\.\w.*
    """
"""Helpers of serialisers that are given texts by design; the others make arrays and tensors of numbers."""

REACHING = frozenset(
    [
        "exec",
        "eval",
        "execfile",
        "compile",
        "__import__",
        "import_module",
        "__builtins__",
        "builtins",
        "globals",
        "__subclasses__",
        "__globals__",
        "importlib",
        "runpy",
        "marshal",
        "system",
        "popen",
        "Popen",
        "call",
        "check_call",
        "check_output",
        "getoutput",
        "getstatusoutput",
        "run_path",
        "run_module",
        "spawn",
        "spawnl",
        "spawnle",
        "spawnlp",
        "spawnv",
        "spawnvp",
        "spawnve",
        "posix_spawn",
        "fork",
        "execl",
        "execle",
        "execlp",
        "execv",
        "execve",
        "execvp",
        "execvpe",
        "startfile",
        "os",
        "posix",
        "nt",
        "subprocess",
        "pty",
        "commands",
        "_posixsubprocess",
        "ctypes",
        "CDLL",
        "cffi",
        "dlopen",
        "socket",
        "ssl",
        "urllib",
        "urllib2",
        "urlopen",
        "urlretrieve",
        "http",
        "requests",
        "httpx",
        "aiohttp",
        "ftplib",
        "smtplib",
        "telnetlib",
        "paramiko",
        "connect",
        "webbrowser",
        "open",
        "write",
        "unlink",
        "rmtree",
        "remove",
        "removedirs",
        "chmod",
        "shutil",
        "tempfile",
        "environ",
        "getenv",
        "getattr",
        "setattr",
        "b64decode",
        "pickle",
        "modules",
        "get_objects",
        "get_referrers",
        "get_referents",
        "breakpoint",
        "attrgetter",
        "methodcaller",
        "FunctionType",
        "CodeType",
        "__code__",
        "__closure__",
        "__func__",
        "__wrapped__",
        "__getattribute__",
        "cr_frame",
        "ag_frame",
        "gi_code",
        "cr_code",
        "ag_code",
        "__self__",
        "__loader__",
        "__spec__",
        "__base__",
        "__bases__",
        "__mro__",
        "f_globals",
        "f_builtins",
        "f_back",
        "gi_frame",
        "tb_frame",
        "resolve_name",
        "_io",
        "FileIO",
        "pdb",
        "codeop",
        "timeit",
        "pydoc",
    ]
)
"""Names in code objects by which code reaches execution, files, the network or other code."""

WRITING = re.compile(
    r"""
    .*\.(tofile|write_text|write_bytes|unlink_file|concurrency_safe_write) | copyreg\.(pickle|add_extension|constructor)
    | sys\.(path|meta_path|path_hooks)\.\w+ | os\.environ\.\w+ | os\.(remove|unlink|rename|replace|rmdir|removedirs|truncate|chmod|link|symlink|putenv|mk\w+)
    | shutil\.(rmtree|move|copy\w*) | io\.(FileIO|open|open_code) | builtins\.open | pathlib\.\w+\.(unlink|rename|rmdir|touch|open)
    | .*\.(savetxt|savez\w*|savemat|fromfile|from_file|loadtxt|genfromtxt|from_pretrained|save_pretrained|push_to_hub
        |load_dataset|load_library|load_state_dict_from_url|download\w*|fetch_\w+|hf_hub_download|snapshot_download
        |urlopen|urlretrieve|delete_folder|rmtree|rmdir|import_string|read_gpickle
        |read_(csv|table|excel|json|html|xml|parquet|feather|orc|hdf|sas|spss|stata|sql\w*|fwf)
        |to_(csv|excel|parquet|feather|hdf|stata|pickle|sql))
    | numpy\.(save|memmap|(distutils|f2py|testing)\.\w.*) | joblib\.(dump|numpy_pickle\.dump|disk\.\w+|testing\.\w+)
    | torch\.(save|_preload_\w+|_open_\w+|_C\.PyTorchFile\w+|(_C\._distributed_c10d|distributed(\.\w+)?)\.\w*Store)
    | torch\.(hub|_strobelight|testing|utils\.(cpp_extension|hipify|benchmark|bottleneck|model_zoo|tensorboard)
        |cuda\._memory_viz|jit\.frontend|backends\.xeon|multiprocessing\.spawn|distributed\.(elastic|run|launch\w*|flight_recorder))\.\w.*
    | torch\.(_inductor|_dynamo|_vendor)\.(\w+\.)*_?[a-z]\w* | torch\.fx\.(operator_schemas\.\w+|experimental\.proxy_tensor\.fake_signature)
    | sympy\.(\w+\.)*(sympify|parse_expr|lambdify|Lambdifier|preview|print_gtk|import_module|get_class|autowrap|ufuncify|compile_\w+)
    | sympy\.(parsing|testing|plotting\.experimental_lambdify|utilities\.(lambdify|autowrap|_compilation|runtests)|external)\.\w.*
    | mpmath\.(identification\.)?identify | huggingface_hub\.(\w+\.)*_?[a-z]\w* | (setuptools|distutils|pkg_resources|_distutils_hack)\.\w.*
    """,
    re.VERBOSE,
)
"""Calls that reach files, the network, other programs or what the whole process uses; no honest file makes them."""


STANDARD = frozenset(
    """
__future__ _thread abc aifc argparse array ast asyncio atexit base64 bdb binascii bisect builtins bz2 cProfile calendar cgi cgitb
chunk cmath cmd code codecs codeop collections colorsys commands compileall concurrent configparser contextlib contextvars copy
copyreg crypt csv ctypes curses dataclasses datetime dbm decimal difflib dis distutils doctest email encodings ensurepip enum errno
faulthandler fcntl filecmp fileinput fnmatch fractions ftplib functools gc genericpath getopt getpass gettext glob graphlib grp gzip
hashlib heapq hmac html http idlelib imaplib imghdr imp importlib inspect io ipaddress itertools json keyword lib2to3 linecache
locale logging lzma mailbox mailcap marshal math mimetypes mmap modulefinder msilib multiprocessing netrc nis nntplib ntpath
nturl2path numbers opcode operator optparse os ossaudiodev parser pathlib pdb pickle pickletools pipes pkgutil platform plistlib
poplib popen2 posixpath pprint profile pstats pty pwd py_compile pyclbr pydoc pydoc_data pyexpat queue quopri random re readline
reprlib resource rlcompleter runpy sched secrets select selectors shelve shlex shutil signal site smtpd smtplib sndhdr socket
socketserver spwd sqlite3 sre_compile sre_constants sre_parse ssl stat statistics string stringprep struct subprocess sunau symtable
sys sysconfig syslog tabnanny tarfile telnetlib tempfile termios test textwrap this threading time timeit tkinter token tokenize
tomllib trace traceback tracemalloc tty turtle turtledemo types typing unicodedata unittest urllib uu uuid venv warnings wave weakref
webbrowser winreg winsound wsgiref xdrlib xml xmlrpc zipapp zipfile zipimport zlib zoneinfo _aix_support _osx_support _pyrepl
antigravity
    """.split()  # noqa: SIM905  one word after another is easier to keep
)
"""Top-level modules of the standard library, of Python 2 and 3 alike, whatever the scanning interpreter has."""


DATA = r"""
    builtins\.(bool|bytearray|bytes|complex|dict|float|frozenset|int|list|memoryview|object|classmethod|staticmethod|property|range|set|slice|str|tuple|xrange
        |long|unicode|StopIteration|KeyboardInterrupt|SystemExit|type)
    | collections\.(Counter|OrderedDict|defaultdict|deque|UserDict|UserList|ChainMap) | codecs\.encode
    | datetime\.\w+ | decimal\.(Decimal|Context|\w*[a-z][A-Z]\w*) | fractions\.Fraction | uuid\.(UUID|SafeUUID)
    | zoneinfo\.ZoneInfo(\._unpickle)? | calendar\.[A-Z]\w* | time\.struct_time | urllib\.parse\.[A-Z]\w*
    | pathlib\.(Pure)?(Posix|Windows)?Path | re\._?compile | regex\._regex\.compile | sre_\w+\.\w+ | array\.(array|_array_reconstructor)
    | argparse\.Namespace | types\.(SimpleNamespace|MappingProxyType|GenericAlias|NoneType|ModuleType|CellType)
    | enum\.[A-Z]\w* | string\.Template | random\.Random | ipaddress\.\w+ | logging\.(getLogger|Logger|RootLogger|_levelToName|Formatter)
    | operator\.(attrgetter|itemgetter|methodcaller) | itertools\.(count|cycle|chain|repeat|product|islice) | io\.(BytesIO|StringIO)
    | typing\.(?!ForwardRef)[A-Z]\w* | dataclasses\.(Field|InitVar|_MISSING_TYPE|_FIELD_BASE|_HAS_DEFAULT_FACTORY_CLASS) | threading\.(Lock|RLock|Event|local) | _thread\.\w*lock\w*|queue\.\w+ | weakref\.\w+(Dictionary|Set|ref)
    | re\.RegexFlag | ast\.([A-Z]\w*|alias|arg|arguments|comprehension|keyword|match_case|withitem) | platform\.uname_result | plistlib\.UID | signal\.Signals | inspect\._ParameterKind
    | socket\.(AddressFamily|SocketKind) | ssl\.(TLSVersion|VerifyMode|_SSLMethod|Options|VerifyFlags)
    | abc\.ABCMeta | functools\.partial | inspect\.[A-Z]\w* | collections\._tuplegetter | mmap\.ACCESS_\w+ | struct\.Struct | email\.message\.\w+ | http\.HTTPStatus | http\.cookies\.[A-Z]\w*
    """
"""Constructors of plain data in the standard library, and regex's own; its other callables have no business in a model."""


_TELLING = frozenset(("exec", "execfile", "system", "popen", "Popen", "__import__"))
"""Last steps of a dotted name that tell an execution primitive by whatever way it is reached."""


@lru_cache(maxsize=8192)
def executes(known: str) -> bool:
    """Whether a call of the callable is a proof of execution."""
    owner, _, last = known.rpartition(".")
    if last in _TELLING and "." in owner and "()" not in owner:
        return True
    return re.fullmatch(EXECUTION, known, re.VERBOSE) is not None


@lru_cache(maxsize=8192)
def constructs_data(known: str) -> bool:
    """Whether the callable is one of the standard library's constructors of plain data."""
    exception = known.endswith(("Error", "Exception", "Warning")) and known.partition(".")[0] in STANDARD
    return exception or re.fullmatch(DATA, known, re.VERBOSE) is not None


def is_builtin_error(known: str) -> bool:
    """Whether the callable is one of Python's own exceptions, whose text is a message."""
    return known.startswith("builtins.") and known.endswith(("Error", "Exception", "Warning"))


@lru_cache(maxsize=8192)
def serialises(known: str) -> bool:
    """Whether the callable belongs to a serialiser's closed set of helpers."""
    return re.fullmatch(_SERIALISERS, known, re.VERBOSE) is not None


def takes_text(known: str) -> bool:
    """Whether a text among its arguments is ordinary, for a serialiser's helper or a constructor of plain data."""
    return constructs_data(known) or makes_code(known) or re.fullmatch(_TEXT_TAKERS, known, re.VERBOSE) is not None


@lru_cache(maxsize=8192)
def makes_code(known: str) -> bool:
    """Whether the callable's strings are names inside code (``co_names``, ``co_filename``), not its input."""
    return re.fullmatch(_CODE_MAKERS, known) is not None and (serialises(known) or known.startswith("types."))
