"""Hashes are the published ones, uniform, independent between salts, and the same in every process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chi2_contingency, chisquare, kstest, spearmanr

from vedette.kernel.errors import InvalidInput
from vedette.kernel.hashing import ALGORITHM, BUCKETS, bucket_of, canonical, digest, fraction_of, ranks_of, seed_of
from vedette.kernel.ids import check_name, uuid7

VECTORS = json.loads((Path(__file__).parents[2] / "docs/reference/assignment-vectors.json").read_text("utf-8"))
UNITS = [f"user-{number}" for number in range(50_000)]


def test_seed_of_nothing_is_the_published_one():
    """XXH3_64bits of no bytes with seed 0 is 2D06800538D394C2 (xxHash's own sanity test, cli/xsum_sanity_check.c)."""
    assert seed_of("") == 0x2D06800538D394C2


def test_published_vectors_hold():
    """Seeds, buckets and ranks are those written down for other implementations."""
    assert VECTORS["algorithm"] == ALGORITHM
    assert {text: f"{seed_of(text):016x}" for text in VECTORS["seeds"]} == VECTORS["seeds"]
    for vector in VECTORS["assignments"]:
        bucket = bucket_of(seed_of(f"domain/{vector['domain']}"), vector["unit"])
        assert (bucket, ranks_of(vector["salt"])[bucket]) == (vector["bucket"], vector["rank"])


def test_another_process_computes_the_same():
    """A process with another PYTHONHASHSEED gives the same buckets, fractions and ranks."""
    program = (
        "from vedette.kernel.hashing import *; s = seed_of('domain/pay');"
        "print([bucket_of(s, f'u{n}') for n in range(500)], fraction_of(s, 'ü'), ranks_of('salt'))"
    )
    seed = seed_of("domain/pay")
    mine = f"{[bucket_of(seed, f'u{n}') for n in range(500)]} {fraction_of(seed, 'ü')} {ranks_of('salt')}\n"
    for hash_seed in ("0", "4711"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        answer = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        assert answer.stdout == mine


@pytest.mark.parametrize("domain", ["pay", "legal", "support"])
def test_buckets_are_uniform(domain):
    """Over 50,000 units the 1,024 buckets are filled as by chance (chi-square, p above 0.001)."""
    counts = np.bincount([bucket_of(seed_of(f"domain/{domain}"), unit) for unit in UNITS], minlength=BUCKETS)
    assert counts.size == BUCKETS
    assert chisquare(counts).pvalue > 0.001


def test_fractions_are_uniform_and_independent_between_salts():
    """Fractions are uniform (Kolmogorov-Smirnov), and those of two salts have nothing to do with each other."""
    one, two = (np.array([fraction_of(seed_of(salt), unit) for unit in UNITS]) for salt in ("edge/a", "edge/b"))
    assert kstest(one, "uniform").pvalue > 0.001
    assert abs(spearmanr(one, two).statistic) < 0.02
    table = np.histogram2d(one, two, bins=10)[0]
    assert chi2_contingency(table).pvalue > 0.001


def test_fraction_is_always_below_one(monkeypatch):
    """The highest hash gives a fraction below 1, not one rounded up to it."""
    monkeypatch.setattr("xxhash.xxh3_64_intdigest", lambda *_: 2**64 - 1)
    assert fraction_of(0, "last") < 1


def test_ranks_are_a_permutation_of_their_own_for_each_salt():
    """Each salt orders all buckets, and two salts order them independently."""
    one, two = ranks_of("rollout-1"), ranks_of("rollout-2")
    assert sorted(one) == sorted(two) == list(range(BUCKETS))
    assert abs(spearmanr(one, two).statistic) < 0.1


def test_canonical_bytes_do_not_depend_on_order():
    """Equal JSON values have equal bytes and digests, whatever the order of their keys (RFC 8785)."""
    assert canonical({"b": 1, "a": [1.0, "ü"]}) == canonical({"a": [1, "ü"], "b": 1}) == '{"a":[1,"ü"],"b":1}'.encode()
    assert digest({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"  # sha256 of "{}"


def test_uuid7_is_the_one_of_the_rfc():
    """Time and randomness stand where RFC 9562 puts them (its appendix A.6)."""
    random = 0xCC3 << 68 | 0x18C4DC0C0C07398F
    assert uuid7(0x017F22E279B0, random.to_bytes(10)) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"
    for milliseconds, entropy in ((-1, bytes(10)), (1 << 48, bytes(10)), (0, bytes(9))):
        with pytest.raises(InvalidInput, match="UUIDv7"):
            uuid7(milliseconds, entropy)


def test_uuid7_sorts_by_time():
    """A later id sorts after an earlier one, whatever their randomness."""
    assert uuid7(1000, b"\xff" * 10) < uuid7(1001, bytes(10))


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "ä", "a b", "a" * 64, "a\n", "a/b", "../a"], ids=repr)
def test_name_that_could_not_stand_in_a_url_is_refused(name):
    """Names are short, lower-case and safe in URLs, labels and file names."""
    with pytest.raises(InvalidInput, match="cannot name a domain"):
        check_name(name, "domain")
    assert check_name("a" * 63, "domain") == "a" * 63
