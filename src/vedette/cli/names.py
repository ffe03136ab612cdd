"""Completion of names that exist, of domains, versions, rollouts, experiments, keys. What fails completes nothing."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from vedette.cli.session import Session

if TYPE_CHECKING:
    from vedette.cli.session import Services

_MOST = 200


def _completer(
    names: "Callable[[Services, click.Context], Iterable[str]]",
) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        try:
            with ctx.ensure_object(Session).open() as plane:
                found = sorted(set(names(plane, ctx)))
        except Exception:  # noqa: BLE001 - a shell that completes must never show an error
            return []
        return [CompletionItem(name) for name in found if name.startswith(incomplete)]

    return complete


domain = _completer(lambda plane, _: (item.id for item in plane.domains.page(limit=_MOST).items))
version = _completer(
    lambda plane, ctx: (item.name for item in plane.versions.page(ctx.params["domain"], limit=_MOST).items)
)
rollout = _completer(lambda plane, _: (item.name for item in plane.canary.page(limit=_MOST).items))
experiment = _completer(lambda plane, _: (item.name for item in plane.experiments.page(limit=_MOST).items))
key = _completer(lambda plane, _: (item.name for item in plane.keys.page(limit=_MOST).items))
