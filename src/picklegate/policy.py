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


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """What users decide: from which verdict on files are blocked, and what they trust by name or digest.

    ``allow_imports`` are dotted names as the report spells them, or ``"name@org/repository"`` for one repository of the
    Hub alone; ``allow_digests`` are hexadecimal SHA-256 digests of whole files. With ``on_block``, a download that is
    blocked raises BlockedError, keeps nothing of it, and leaves what stood in place before; ``"quarantine"`` raises and
    moves either out of reach; ``"skip"`` leaves the blocked files of a snapshot out of it, with a warning. A score from
    ``suspicious_score`` on is SUSPICIOUS, from ``malicious_score`` on MALICIOUS; None leaves that to the model. With
    ``prefer_safetensors``, a snapshot leaves out pickled weights that have a safetensors sibling. With
    ``block_unjudged``, a file that holds a format which picklegate does not analyse (``unjudged``) is blocked too.
    ``strict`` makes every call of a function that nothing is known of SUSPICIOUS, whatever it is handed. ``log`` is a
    file that decisions are appended to as JSON lines, if PICKLEGATE_LOG names none. Raises PolicyError for an option
    that is wrong.
    """

    block_from: Verdict = Verdict.SUSPICIOUS
    allow_imports: Sequence[str] = ()
    allow_digests: Sequence[str] = ()
    on_block: OnBlock = "raise"
    suspicious_score: float | None = None
    malicious_score: float | None = None
    strict: bool = False
    prefer_safetensors: bool = False
    log: str = ""
    block_unjudged: bool = False
    limits: Limits = field(default=DEFAULT)

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
        for option in ("allow_imports", "allow_digests"):
            value = getattr(self, option)
            if isinstance(value, str) or not isinstance(value, Sequence):
                raise PolicyError(f"{option}: must be a list or a tuple of strings")
            value = tuple(value)
            if not all(isinstance(item, str) for item in value):
                raise PolicyError(f"{option}: must hold strings only")
            object.__setattr__(self, option, value)
        for digest in self.allow_digests:
            if len(digest) != 64 or digest.strip("0123456789abcdef"):
                raise PolicyError(f"allow_digests: {digest!r} is no SHA-256 in lower-case hexadecimal")

    def blocks(self, report: FileReport) -> bool:
        """Whether a front door refuses the file."""
        blocked = report.verdict >= self.block_from or (self.block_unjudged and bool(report.unjudged))
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
