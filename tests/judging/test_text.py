"""What texts look like."""

from __future__ import annotations

import random

from picklegate.judging import text as text_signs

WORDS = """
import os from sys lambda x: def f( class A: exec( getattr( os.system( for with raise __class__ a=1; )( open(
sh bash -c cmd.exe /c curl wget nc python3 -c x.py /dev/null > 2>&1 && | ` $( rm -rf chmod
/bin/ls /usr/sbin/x %PATH% $HOME ; calc reboot gnome-calculator C:\\Windows model layer.0 weight état 3.14 ls id
""".split()  # noqa: SIM905  a list of words reads as one


def test_a_text_without_a_telling_character_or_word_shows_no_sign() -> None:
    """What spares most texts the search for signs hides none."""
    draw = random.Random(1)
    told = 0
    for _ in range(20_000):
        text = draw.choice(["", " ", "é"]) + draw.choice(" \t\n-.").join(draw.choices(WORDS, k=draw.randint(1, 4)))
        signs = sum(sign.shows(text) for sign in (*text_signs._CODE, *text_signs._SHELL))
        told += signs > 0
        assert text_signs._may_tell(text) or not signs, text
    assert told > 5_000


def test_few_long_texts_are_remembered() -> None:
    """A process that scans many files keeps few of their long texts."""
    for number in range(200):
        assert text_signs.look(f"{number}" * 10_000).word == 0
    assert text_signs._long.cache_info().currsize <= 64
