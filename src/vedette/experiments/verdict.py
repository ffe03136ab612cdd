"""What an experiment says, in one word and one sentence: somebody may act on it unattended.

The winner is the arm that beats *all* others in the primary metric, each at the design's own level. Claiming it takes
every one of those tests (an intersection-union test, Berger 1982), so no correction for their number is needed: when
two arms are tied for the best, the chance that either is ever called the only best one is at most alpha. What one look
has established, later looks do not take back (closed under the design's error over all looks).

Harm comes first: a guardrail that is worse than tolerated is reported whatever else is known. A broken split comes
next: then no comparison means anything, and the verdict is withheld.
"""

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum

from vedette.kernel.records import record
from vedette.kernel.tables import Shown


class Status(StrEnum):
    """The verdict in a word."""

    WINNER = "winner"
    TIED = "tied"
    CONTINUE = "continue"
    STOP_FUTILITY = "stop_futility"
    GUARDRAIL_BREACH = "guardrail_breach"
    INVALID_SRM = "invalid_srm"
    INSUFFICIENT = "insufficient"


STATUSES: Mapping[Status, str] = {
    Status.WINNER: "One arm beats all others in the primary metric, at the promised error rate.",
    Status.TIED: "The design has come to its end, or the arms are the same in practice: none is the only best one.",
    Status.CONTINUE: "Nothing is settled yet, and more data may settle it.",
    Status.STOP_FUTILITY: "Going on can hardly settle it within the planned size any more.",
    Status.GUARDRAIL_BREACH: "An arm is worse in a guardrail than tolerated; the evidence is valid at any look.",
    Status.INVALID_SRM: "Arms did not get the traffic they were promised, so no comparison means anything.",
    Status.INSUFFICIENT: "There are too few units, or the primary metric could not be measured.",
}
"""Every verdict and what it means."""


@record
class Breach(Shown):
    """A guardrail that an arm breaks: how much worse it is (a fraction of the reference), and what is tolerated."""

    arm: str
    metric: str
    harm: float | None
    margin: float
    p_value: float


@record
class Verdict(Shown):
    """What an experiment says.

    Attributes:
        status: In a word.
        sentence: In a sentence.
        winner: The arm that beats all others, or empty.
        tied: The arms that no other arm beats; one of them is the best.
        breaches: Guardrails that are broken.
        established: Pairs (better, worse) settled so far, earlier looks included.
    """

    status: Status
    sentence: str
    winner: str = ""
    tied: tuple[str, ...] = ()
    breaches: tuple[Breach, ...] = ()
    established: tuple[tuple[str, str], ...] = ()

    @property
    def final(self) -> bool:
        """Whether there is nothing left to wait for."""
        return self.status in {Status.WINNER, Status.TIED, Status.STOP_FUTILITY}


@record
class Standing:
    """What the verdict is made from, besides the pairs.

    ``missing`` says why nothing can be judged yet (empty when it can), ``broken_split`` what is wrong with the split,
    ``finished`` that the design took its last look, ``hopeless`` that it can hardly succeed, ``waiting`` what is next.
    """

    missing: str = ""
    broken_split: str = ""
    finished: bool = False
    hopeless: bool = False
    waiting: str = ""


def established(
    arms: Collection[str], before: Sequence[tuple[str, str]], now: Sequence[tuple[str, str]]
) -> tuple[tuple[str, str], ...]:
    """Join what earlier looks settled with this one, for the arms there still are.

    Where a later look says the opposite of an earlier one the pair is in neither: at most alpha of experiments see it.
    """
    said = dict.fromkeys((*before, *now))
    return tuple(
        (better, worse) for better, worse in said if better in arms and worse in arms and (worse, better) not in said
    )


def conclude(
    arms: Sequence[str],
    metric: str,
    settled: Sequence[tuple[str, str]],
    standing: Standing,
    *,
    breaches: Sequence[Breach] = (),
    same: bool = False,
    lead: str = "",
) -> Verdict:
    """Say what follows from the pairs settled in the primary metric and from everything else that is known.

    Args:
        arms: The arms that are still in the experiment.
        metric: Name of the primary metric.
        settled: Pairs (better, worse).
        standing: How far the design has come.
        breaches: Guardrails that are broken.
        same: Whether the arms nobody beats are proven to be the same in practice.
        lead: How far the winner is ahead, in words, for the sentence.
    """
    beaten = {worse for _, worse in settled}
    tied = tuple(arm for arm in arms if arm not in beaten)
    over = {arm: {worse for better, worse in settled if better == arm} for arm in arms}
    winner = next((arm for arm in arms if len(over[arm]) == len(arms) - 1), "")

    names, others = _listed(tied), "the other arm" if len(arms) == 2 else f"all {len(arms) - 1} other arms"
    dropped = f"; {_listed(sorted(beaten))} can be dropped" if beaten else ""
    why = "are the same in practice" if same else "cannot be told apart"
    over_yet = standing.finished or (same and len(tied) > 1)
    # The first that holds is the verdict.
    rules = (
        (bool(breaches), Status.GUARDRAIL_BREACH, _harm(breaches)),
        (bool(standing.broken_split), Status.INVALID_SRM, f"The split is broken: {standing.broken_split}."),
        (bool(standing.missing), Status.INSUFFICIENT, f"Too early to say: {standing.missing}."),
        (bool(winner), Status.WINNER, f"{winner} beats {others} in {metric}{lead and f': {lead}'}."),
        (over_yet, Status.TIED, f"{names} {why} in {metric}: choose by cost, or run a larger experiment."),
        (standing.hopeless, Status.STOP_FUTILITY, f"Going on can hardly tell {names} apart in {metric}."),
        (True, Status.CONTINUE, f"{names} cannot be told apart in {metric} yet{dropped}{_next(standing)}."),
    )
    status, sentence = next((status, sentence) for holds, status, sentence in rules if holds)
    return Verdict(
        status=status,
        sentence=sentence,
        winner=winner if status is Status.WINNER else "",
        tied=tied,
        breaches=tuple(breaches),
        established=tuple(settled),
    )


def _next(standing: Standing) -> str:
    return f"; {standing.waiting}" if standing.waiting else ""


def _harm(breaches: Sequence[Breach]) -> str:
    said = [
        f"{it.arm} makes {it.metric} {f'{100 * it.harm:.3g} % ' if it.harm is not None else ''}worse"
        f" ({f'{100 * it.margin:.3g} %' if it.margin else 'none'} tolerated)"
        for it in breaches
    ]
    return f"{'; '.join(said)}: take it out."


def _listed(names: Sequence[str]) -> str:
    shown = list(names) if len(names) <= 6 else [*names[:5], f"{len(names) - 5} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}" if shown else "no arm"
