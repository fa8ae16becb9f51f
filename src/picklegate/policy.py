"""What users decide: from which verdict on files are blocked, and what they trust."""

from __future__ import annotations

from dataclasses import dataclass, field
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

    ``allow_imports`` are dotted names as the report spells them; ``allow_digests`` are
    hexadecimal SHA-256 digests of whole files. With ``on_block``, a download that is blocked raises BlockedError
    and keeps nothing; ``"quarantine"`` raises and keeps what had arrived out of reach; ``"skip"`` leaves the
    blocked files of a snapshot out of it, with a warning. A score from ``suspicious_score`` on is SUSPICIOUS, from
    ``malicious_score`` on MALICIOUS; None leaves that to the model. ``allow_effects`` are kinds of ``Effect`` that a
    guarded load may have; a digest or an import that is allowed gives no leave for them. Raises PolicyError for an
    option that is wrong.
    """

    block_from: Verdict = Verdict.SUSPICIOUS
    allow_imports: tuple[str, ...] = ()
    allow_digests: tuple[str, ...] = ()
    allow_effects: tuple[Effect, ...] = ()
    on_block: OnBlock = "raise"
    suspicious_score: float | None = None
    malicious_score: float | None = None
    limits: Limits = field(default=DEFAULT)

    def __post_init__(self) -> None:
        """Check each option."""
        if not isinstance(self.block_from, Verdict) or self.block_from == Verdict.CLEAN:
            raise PolicyError("block_from: must be Verdict.SUSPICIOUS, UNSCANNABLE or MALICIOUS")
        if self.on_block not in get_args(OnBlock):
            raise PolicyError("on_block: must be 'raise', 'quarantine' or 'skip'")
        for option in ("suspicious_score", "malicious_score"):
            score = getattr(self, option)
            if score is not None and (type(score) not in (int, float) or not 0 < score <= 1):
                raise PolicyError(f"{option}: must be a number above 0 and at most 1")
        for option in ("allow_imports", "allow_digests", "allow_effects"):
            value = getattr(self, option)
            if not isinstance(value, tuple) or not all(isinstance(item, str) for item in value):
                raise PolicyError(f"{option}: must be a tuple of strings")
        for effect in self.allow_effects:
            if effect not in get_args(Effect):
                raise PolicyError(f"allow_effects: {effect!r} is none of {', '.join(get_args(Effect))}")
        for digest in self.allow_digests:
            if len(digest) != 64 or digest.strip("0123456789abcdef"):
                raise PolicyError(f"allow_digests: {digest!r} is no SHA-256 in lower-case hexadecimal")

    def blocks(self, report: FileReport) -> bool:
        """Whether a front door refuses the file."""
        return report.verdict >= self.block_from and report.sha256 not in self.allow_digests
