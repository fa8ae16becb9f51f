"""One hostile sample for each class of public advisory against picklescan, fickling and modelscan."""

from __future__ import annotations

from typing import Any

from picklegate.report import Verdict
from support.builders import ARGV, COMMAND, EXPRESSION, FICKLING, INNER, PICKLESCAN, SOURCE, SYSTEM, Hostile, call, case

_ROWS: tuple[tuple[str, str, str, tuple[Any, ...]], ...] = (
    ("GHSA-655q-fx9r-782v", "pip", "main", (["install", "inert-package"],)),
    ("GHSA-4r9r-ch6f-vxmx", "torch.utils.bottleneck.__main__", "run_cprofile", (SOURCE, {})),
    ("GHSA-4whj-rm5r-c2v8", "torch.utils.bottleneck.__main__", "run_autograd_prof", (SOURCE, {})),
    ("GHSA-86cj-95qr-2p4f", "torch._dynamo.guards", "GuardBuilder.get", ({}, EXPRESSION)),
    (
        "GHSA-f4x7-rfwp-v3xw",
        "torch.fx.experimental.symbolic_shapes",
        "ShapeEnv.evaluate_guards_expression",
        ({}, EXPRESSION, []),
    ),
    ("GHSA-f745-w6jp-hpxx", "torch.utils.collect_env", "run", (COMMAND,)),
    ("GHSA-jhph-76pp-mggw", "torch.utils.collect_env", "run_and_read_all", (SYSTEM, COMMAND)),
    ("GHSA-h3qp-7fh3-f8h4", "torch.utils.data.datapipes.utils.decoder", "basichandlers", ("pickle", INNER)),
    ("GHSA-vr7h-p6mm-wpmh", "torch.jit.unsupported_tensor_ops", "execWrapper", (SOURCE, {}, {})),
    ("GHSA-vv6j-3g6g-2pvj", "torch.utils._config_module", "ConfigModule.load_config", ({}, INNER)),
    ("GHSA-5qwp-399c-mjwf", "trace", "Trace.run", ({}, SOURCE)),
    ("GHSA-g344-hcph-8vgg", "trace", "Trace.runctx", ({}, SOURCE, {}, {})),
    ("GHSA-x696-vm39-cp64", "profile", "Profile.run", ({}, SOURCE)),
    ("GHSA-6vqj-c2q5-j97w", "profile", "Profile.runctx", ({}, SOURCE, {}, {})),
    ("GHSA-f54q-57x4-jg88", "lib2to3.pgen2.grammar", "Grammar.loads", ({}, INNER)),
    ("GHSA-p9w7-82w4-7q8m", "lib2to3.pgen2.pgen", "ParserGenerator.make_label", (None, {}, '""+' + EXPRESSION)),
    ("GHSA-3vg9-h568-4w9m", "idlelib.debugobj", "ObjectTreeItem.SetText", ({}, EXPRESSION)),
    ("GHSA-6w4w-5w54-rjvr", "idlelib.autocomplete", "AutoComplete.get_entity", ({}, EXPRESSION)),
    ("GHSA-7cq8-mj8x-j263", "idlelib.autocomplete", "AutoComplete.fetch_completions", ({}, EXPRESSION, 1)),
    ("GHSA-8r4j-24qv-fmq9", "idlelib.calltip", "Calltip.fetch_tip", ({}, EXPRESSION)),
    ("GHSA-9xph-j2h6-g47v", "idlelib.calltip", "get_entity", (EXPRESSION,)),
    ("GHSA-m869-42cg-3xwr", "idlelib.run", "Executive.runcode", ({}, SOURCE)),
    ("GHSA-j343-8v2j-ff7w", "idlelib.pyshell", "ModifiedInterpreter.runcommand", ({}, SOURCE)),
    ("GHSA-3gf5-cxq9-w223", "idlelib.pyshell", "ModifiedInterpreter.runcode", ({}, SOURCE)),
    ("GHSA-cj3c-v495-4xqh", "code", "InteractiveInterpreter.runcode", ({}, SOURCE)),
    ("GHSA-xp4f-hrf8-rxw7", "ensurepip", "_run_pip", (["install", "inert-package"],)),
    ("GHSA-fqq6-7vqf-w3fg", "doctest", "debug_script", (SOURCE, True)),
    ("GHSA-9w88-8rmg-7g2p", "cProfile", "runctx", (SOURCE, None, None)),
    ("GHSA-49gj-c84q-6qm9", "cProfile", "run", (SOURCE,)),
    (
        "GHSA-q77w-mwjj-7mqx",
        "asyncio.unix_events",
        "_UnixSubprocessTransport._start",
        ({}, COMMAND, True, None, None, None, 0),
    ),
    ("GHSA-m273-6v24-x4m4", "distutils.file_util", "write_file", ("/tmp/inert.py", [SOURCE])),
    ("GHSA-4675-36f9-wf6r", "ctypes", "CDLL", ("./inert.so",)),
    ("GHSA-vqmv-47xg-9wpr", "pty", "spawn", (["/bin/sh", "-c", "true"],)),
    ("GHSA-r8g5-cgf2-4m4m", "numpy.f2py.crackfortran", "getlincoef", (EXPRESSION, [])),
    ("GHSA-g38g-8gr9-h9xp", "_pyrepl.pager", "pipe_pager", ("", COMMAND)),
    ("GHSA-g38g-8gr9-h9xp", "uuid", "_get_command_stdout", ("echo", "inert")),
    ("GHSA-g38g-8gr9-h9xp", "_osx_support", "_read_output", (COMMAND,)),
    ("GHSA-g38g-8gr9-h9xp", "_aix_support", "_read_cmd_output", (COMMAND,)),
    ("GHSA-g38g-8gr9-h9xp", "imaplib", "IMAP4_stream", (COMMAND,)),
    ("GHSA-r7v6-mfhq-g3m2", "pty", "spawn", ("id",)),
    ("GHSA-wfq2-52f7-7qvj", "runpy", "run_path", ("/tmp/inert.py",)),
    ("GHSA-p523-jq9w-64x9", "cProfile", "run", ("print('inert')",)),
    ("GHSA-q5qq-mvfm-j35x", "multiprocessing.util", "spawnv_passfds", ("/bin/sh", [b"/bin/sh", b"-c", b"true"], ())),
    ("GHSA-m6fh-58r7-x697", "_posixsubprocess", "fork_exec", (ARGV, [b"/bin/echo"], True, (), None, None)),
    ("GHSA-m6fh-58r7-x697", "site", "addpackage", ("/tmp", "inert.pth", None)),
    ("GHSA-6ggj-6f2q-f7mx", "_interpreters", "run_string", (0, SOURCE)),
    ("GHSA-6ggj-6f2q-f7mx", "_xxsubinterpreters", "run_string", (0, SOURCE)),
)
_FICKLINGS = {
    "GHSA-r7v6-mfhq-g3m2",
    "GHSA-wfq2-52f7-7qvj",
    "GHSA-p523-jq9w-64x9",
    "GHSA-q5qq-mvfm-j35x",
    "GHSA-m6fh-58r7-x697",
    "GHSA-6ggj-6f2q-f7mx",
}
_UNNUMBERED: tuple[tuple[str, str, tuple[Any, ...]], ...] = (
    ("posix", "system", (COMMAND,)),
    ("nt", "system", (COMMAND,)),
    ("builtins", "exec", (SOURCE,)),
    ("builtins", "eval", (EXPRESSION,)),
    ("subprocess", "Popen", (ARGV,)),
    ("subprocess", "check_output", (ARGV,)),
    ("runpy", "_run_code", (SOURCE,)),
    ("bdb", "Bdb.run", ({}, SOURCE)),
    ("pdb", "run", (SOURCE,)),
    ("timeit", "timeit", ("", SOURCE)),
    ("pydoc", "pipepager", ("", COMMAND)),
    ("venv", "create", ("inert", False, False, True, False, "$(true)")),
    ("numpy.testing._private.utils", "runstring", (SOURCE, {})),
    ("torch._inductor.codecache", "compile_file", ("", "", ["sh", "-c", "true"])),
    ("webbrowser", "open", ("https://example.invalid/",)),
    ("urllib.request", "urlopen", ("https://example.invalid/",)),
    ("requests.api", "get", ("https://example.invalid/",)),
    ("http.client", "HTTPSConnection", ("example.invalid",)),
    ("socket", "create_connection", (("example.invalid", 80),)),
    ("smtplib", "SMTP", ("127.0.0.1", 25)),
    ("ftplib", "FTP", ("127.0.0.1", 21)),
    ("telnetlib", "Telnet", ("127.0.0.1", 23)),
    ("io", "FileIO", ("/tmp/inert", "w")),
    ("shutil", "rmtree", ("/tmp/inert",)),
    ("pathlib", "Path.write_text", (call("pathlib", "PosixPath", "/tmp/inert"), "inert")),
    ("logging.config", "fileConfig", ("/tmp/inert.ini",)),
    ("dataclasses", "_create_fn", ("f", [], [SOURCE])),
    ("pandas", "read_pickle", ("https://example.invalid/inert.pkl",)),
    ("pandas", "eval", ("@" + EXPRESSION,)),
    ("sympy", "sympify", (EXPRESSION,)),
    ("torch", "load", ("/tmp/inert.pt",)),
    ("torch.hub", "load", ("inert/inert", "inert")),
    ("yaml", "unsafe_load", ("!!python/object/apply:os.system ['echo inert']",)),
    ("asteval", "Interpreter.eval", ({}, SOURCE)),
    ("mlflow.projects.backend.local", "_run_entry_point", (COMMAND, "/tmp", "inert", "inert")),
    ("unknown_helper", "run", (SOURCE,)),
)

ADVISORIES: tuple[Hostile, ...] = (
    *(
        case(
            f"{advisory}-{module}.{name}",
            call(module, name, *args),
            "A public advisory: the name was on no list.",
            (module, name),
            (FICKLING if advisory in _FICKLINGS else PICKLESCAN) + advisory,
            Verdict.SUSPICIOUS,
        )
        for advisory, module, name, args in _ROWS
    ),
    *(
        case(
            f"{module}.{name}",
            call(module, name, *args),
            "Public test vectors and demonstrations use it.",
            (module, name),
            "",
            Verdict.SUSPICIOUS,
        )
        for module, name, args in _UNNUMBERED
    ),
)
