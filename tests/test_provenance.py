"""What a verdict was made by: each option that it depends on counts, and what lets more pass is said."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from picklegate.limits import Limits
from picklegate.policy import Policy
from picklegate.provenance import laxer, made_by, policy_digest
from picklegate.report import Verdict
from picklegate.store import judging_key

OTHER: dict[str, Any] = {
    "block_from": Verdict.MALICIOUS,
    "allow_imports": ("a.b",),
    "allow_digests": ("0" * 64,),
    "on_block": "skip",
    "suspicious_score": 0.7,
    "malicious_score": 0.99,
    "limits": Limits(max_opcodes=5),
    "log": "decisions.jsonl",
    "allow_effects": ("read",),
    "environment": ("/usr/lib/python3",),
}
SAME_VERDICT = {
    "block_from",
    "allow_digests",
    "on_block",
    "prefer_safetensors",
    "block_unjudged",
    "allow_effects",
    "log",
}


@pytest.mark.parametrize("name", [field.name for field in fields(Policy)])
def test_each_option_of_a_policy_counts(name: str) -> None:
    """In the digest of the policy, and in the store's key unless it only says what is done about a verdict."""
    plain = Policy()
    value = OTHER[name] if name in OTHER else not getattr(plain, name)
    changed: dict[str, Any] = {name: value}
    other = replace(plain, **changed)
    assert (policy_digest(other) != policy_digest(plain)) == (name != "log")
    assert (judging_key(other, "model.pkl") != judging_key(plain, "model.pkl")) == (name not in SAME_VERDICT)


@pytest.mark.parametrize("name", ["block_from", "allow_imports", "allow_digests", "on_block", "suspicious_score"])
def test_what_lets_more_pass_is_said(name: str) -> None:
    """The defaults let nothing more pass."""
    assert laxer(Policy()) == ()
    (words,) = laxer(replace(Policy(), **{name: OTHER[name]}))
    assert words in made_by(replace(Policy(), **{name: OTHER[name]}))["laxer"]
