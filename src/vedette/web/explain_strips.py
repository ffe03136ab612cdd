"""Where a unit lies: its bucket in a rollout's order, its place in each layer, its place among an experiment's arms."""

from vedette.kernel.hashing import BUCKETS, ranks_of
from vedette.kernel.records import record
from vedette.routing.assign import place_among_arms, place_in_layer
from vedette.routing.layers import PLACES, Layer, RunningExperiment
from vedette.routing.plan import FULL, TrafficPlan

WIDTH = 1000.0


@record
class Piece:
    """A part of a strip, in thousandths of it, and whose it is."""

    label: str
    begin: float
    width: float
    kind: str


@record
class Strip:
    """A strip with a mark on it: what it lays out, in words too."""

    title: str
    pieces: tuple[Piece, ...]
    at: float
    sentence: str

    @property
    def shares(self) -> dict[str, float]:
        """How much of the strip each has, in percent, what is only reserved left out."""
        found: dict[str, float] = {}
        for piece in self.pieces:
            if piece.kind != "reserved":
                found[piece.label] = found.get(piece.label, 0.0) + piece.width / 10
        return found


def of_rollout(plan: TrafficPlan, bucket: int) -> Strip | None:
    """Lay a rollout's order of buckets out, with that of a unit; None without a rollout, or without a bucket."""
    canary = plan.canary
    if canary is None or not 0 <= bucket < BUCKETS:
        return None
    rank, exposed = ranks_of(canary.salt)[bucket], plan.weight / FULL * BUCKETS
    return Strip(
        title=f"Rollout of {canary.version}",
        pieces=(Piece(label=canary.version, begin=0, width=WIDTH * plan.weight / FULL, kind="own"),),
        at=WIDTH * (rank + 0.5) / BUCKETS,
        sentence=f"bucket {bucket} is number {rank} of {BUCKETS} in order; {canary.version} has the first {exposed:g}",
    )


def of_layer(domain: str, layer: Layer, unit: str) -> Strip:
    """Lay a layer out, with the place of a unit."""
    place = place_in_layer(domain, layer, unit)
    pieces: list[Piece] = []
    said = "nobody has it"
    for running in layer.experiments:
        left = running.exposed
        for part in running.stretches:
            used = min(left, part.end - part.begin)
            left -= used
            pieces.append(_piece(running.name, part.begin, part.end - part.begin, "reserved"))
            pieces += [_piece(running.name, part.begin, used, "own")] if used else []
            if part.begin <= place < part.end:
                said = f"{running.name} has it" if place < part.begin + used else f"reserved for {running.name}"
    sentence = f"place {place:,} of {PLACES:,}: {said}"
    return Strip(title=f"Layer {layer.name}", pieces=tuple(pieces), at=WIDTH * place / PLACES, sentence=sentence)


def of_arms(running: RunningExperiment, unit: str) -> Strip:
    """Lay an experiment's arms out, with the place of a unit."""
    place = place_among_arms(running, unit)
    arm = next((it.arm for it in running.slices if it.begin <= place < it.end), "")
    pieces = tuple(
        _piece(it.arm, it.begin, it.end - it.begin, "own" if it.arm == arm else "other") for it in running.slices
    )
    said = f"place {place:,} of {PLACES:,}: {f'arm {arm}' if arm else 'an arm that was taken out'}"
    return Strip(title=f"Arms of {running.name}", pieces=pieces, at=WIDTH * place / PLACES, sentence=said)


def _piece(label: str, begin: int, places: int, kind: str) -> Piece:
    return Piece(label=label, begin=WIDTH * begin / PLACES, width=WIDTH * places / PLACES, kind=kind)
