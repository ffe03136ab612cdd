"""Warning codes: one word for programs, one sentence for people."""

import re

from vedette.stats.cautions import CAUTIONS, Caution


def test_every_code_has_one_sentence():
    """Each code is snake case and has one sentence of its own, in two parts: what it means, and what follows."""
    assert set(CAUTIONS) == set(Caution)
    assert len(set(CAUTIONS.values())) == len(Caution)
    for code, meaning in CAUTIONS.items():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", code)
        assert re.fullmatch(r"[A-Z][^.]*[,;:][^.]*\.", meaning), meaning
