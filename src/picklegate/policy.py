"""What users decide: from which verdict on files are blocked, and what they trust."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from picklegate.errors import PolicyError
from picklegate.limits import DEFAULT, Limits
from picklegate.report import FileReport, Verdict

OnBlock = Literal["raise", "quarantine", "skip"]
"""What a front door does with a blocked file."""

Effect = Literal["read", "write", "process", "network", "code", "native", "thread", "import", "state"]
"""What a guarded load refuses to do, by kind (docs/guards.md)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """What users decide: from which verdict on files are blocked, and what they trust by name or digest.

    Lists are taken for tuples. Raises PolicyError for an option that is wrong.
    """

    block_from: Verdict = Verdict.SUSPICIOUS
    """The least verdict that blocks."""
    allow_imports: Sequence[str] = ()
    """Dotted names as the report spells them, or ``"name@org/repository"`` for one repository of the Hub alone."""
    allow_digests: Sequence[str] = ()
    """Hexadecimal SHA-256 digests of whole files."""
    allow_effects: Sequence[Effect] = ()
    """Kinds of effects that a guarded load may have; a digest or an import that is allowed gives no leave for them."""
    on_block: OnBlock = "raise"
    """What a download does that is blocked: it raises BlockedError, keeps nothing of the file, and leaves what stood in
    place before; with ``"quarantine"`` it raises and moves either out of reach; with ``"skip"`` it leaves the blocked
    files of a snapshot out, with a warning."""
    suspicious_score: float | None = None
    """The score from which on a call is SUSPICIOUS; None leaves that to the model."""
    malicious_score: float | None = None
    """The score from which on a call is MALICIOUS; None leaves that to the model."""
    strict: bool = False
    """Whether every call of a function that nothing is known of is SUSPICIOUS, whatever it is handed."""
    environment: tuple[str, ...] = ()
    """Folders of an import path (``sys.path``): what is installed there adds findings about callables that the index
    does not know."""
    prefer_safetensors: bool = False
    """Whether a snapshot leaves out pickled weights that have a safetensors sibling."""
    block_unjudged: bool = False
    """Whether a file is blocked that holds a format which picklegate does not analyse (``FileReport.unjudged``)."""
    log: str = ""
    """A file that decisions are appended to as JSON lines, if PICKLEGATE_LOG names none."""
    limits: Limits = field(default=DEFAULT)
    """Bounds on reading."""

    def __post_init__(self) -> None:
        """Check each option."""
        if not isinstance(self.block_from, Verdict) or self.block_from == Verdict.CLEAN:
            raise PolicyError("block_from: must be Verdict.SUSPICIOUS, UNSCANNABLE or MALICIOUS")
        if not isinstance(self.strict, bool):
            raise PolicyError("strict: must be true or false")
        if self.on_block not in get_args(OnBlock):
            raise PolicyError("on_block: must be 'raise', 'quarantine' or 'skip'")
        if not isinstance(self.log, str):
            raise PolicyError("log: must be the path of a file")
        for option in ("suspicious_score", "malicious_score"):
            score = getattr(self, option)
            if score is not None and (type(score) not in (int, float) or not 0 < score <= 1):
                raise PolicyError(f"{option}: must be a number above 0 and at most 1")
        for option in ("allow_imports", "allow_digests", "allow_effects", "environment"):
            value = getattr(self, option)
            if isinstance(value, str) or not isinstance(value, Sequence):
                raise PolicyError(f"{option}: must be a list or a tuple of strings")
            value = tuple(value)
            if not all(isinstance(item, str) for item in value):
                raise PolicyError(f"{option}: must hold strings only")
            object.__setattr__(self, option, value)
        for effect in self.allow_effects:
            if effect not in get_args(Effect):
                raise PolicyError(f"allow_effects: {effect!r} is none of {', '.join(get_args(Effect))}")
        for digest in self.allow_digests:
            if len(digest) != 64 or digest.strip("0123456789abcdef"):
                raise PolicyError(f"allow_digests: {digest!r} is not a SHA-256 in lower-case hexadecimal")

    def blocks(self, report: FileReport) -> bool:
        """Whether a front door refuses the file."""
        blocked = report.local_verdict >= self.block_from or (self.block_unjudged and bool(report.unjudged))
        return blocked and report.sha256 not in self.allow_digests

    def blocking(self, verdict: Verdict) -> Policy:
        """The policy that blocks from another verdict on."""
        return replace(self, block_from=verdict)

    def within(self, repository: str) -> Policy:
        """The policy for one repository of the Hub, ``org/name``: entries for others do not count."""
        if not any("@" in name for name in self.allow_imports):
            return self
        pairs = [name.partition("@") for name in self.allow_imports]
        names = tuple(name for name, _, scope in pairs if scope in ("", repository))
        return replace(self, allow_imports=names)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str] | None = None) -> Policy:
        """The policy of one file, or of the user's and the project's policy files.

        Without ``path`` each file that makes the policy laxer is logged, because the working directory may belong to
        somebody else. Raises PolicyError, which names the file and the key, and OSError.
        """
        from picklegate.policy_file import load

        return load(path).logged(searched=path is None).policy


PolicyOption = Policy | Literal["project"] | None
"""What a front door takes: a policy, ``"project"`` for ``Policy.from_file()``, or None for the defaults."""

_DEFAULT = Policy()


def chosen(policy: PolicyOption) -> Policy:
    """The policy that a front door goes by; raises PolicyError for anything else."""
    if policy is None:
        return _DEFAULT
    if policy == "project":
        return Policy.from_file()
    if isinstance(policy, Policy):
        return policy
    raise PolicyError(f"policy: must be a Policy, 'project' or None, and is {policy!r}")
