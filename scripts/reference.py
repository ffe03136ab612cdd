"""Write the reference pages that are drawn from the code: `python -m scripts.reference` (tests compare them)."""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from vedette.api.app import create_app
from vedette.control.plane import open_plane
from vedette.evidence.metric import BUILT_IN
from vedette.evidence.source import PrometheusSource
from vedette.experiments.machine import TRANSITIONS as EXPERIMENT_TRANSITIONS
from vedette.experiments.verdict import STATUSES
from vedette.gateway.metrics import Metrics
from vedette.gateway.settings import GatewaySettings
from vedette.governance.roles import GRANTS, Role
from vedette.kernel.clock import say_duration
from vedette.kernel.decision import REASONS
from vedette.kernel.fields import Bytes, Elsewhere, Percent, Seconds, Span
from vedette.kernel.records import camel
from vedette.lake.retention import Retention
from vedette.rollouts.machine import ACTIVE
from vedette.rollouts.machine import TRANSITIONS as ROLLOUT_TRANSITIONS
from vedette.stats.cautions import CAUTIONS
from vedette.web.app import WAYS

_State = TypeVar("_State", bound=str)
_Happening = TypeVar("_Happening", bound=str)

FOLDER = Path(__file__).parent.parent / "docs" / "reference"


def reasons() -> str:
    """Render every reason code and its meaning."""
    rows = "\n".join(f"| `{code}` | {meaning} |" for code, meaning in sorted(REASONS.items()))
    return (
        "# Reason codes\n\nEvery decision carries its reasons: a code from this table, a sentence, and the figures "
        f"behind it.\n\n| code | meaning |\n|---|---|\n{rows}\n"
    )


def cautions() -> str:
    """Render every caution of a statistical result and what to do about it."""
    rows = "\n".join(f"| `{code}` | {meaning} |" for code, meaning in sorted(CAUTIONS.items()))
    return (
        "# Cautions\n\nA number that is undefined is empty (`None`, `null`), never 0, 0.5 or 1 in its place, and a "
        "caution says why. Cautions also stand where a number is to be read with care. "
        "[How experiments are judged](../explanation/experiments.md).\n\n"
        f"| caution | what it means, what to do |\n|---|---|\n{rows}\n"
    )


def states() -> str:
    """Draw the life of a rollout from its transition table."""
    active = ", ".join(f"`{phase}`" for phase in sorted(ACTIVE))
    return (
        "# The life of a rollout\n\nDrawn from the table in `vedette.rollouts.machine`. An event that is not in it is "
        f"refused, and the rollout is as before. While a rollout is {active} it holds its domain.\n\n"
        f"{_life(ROLLOUT_TRANSITIONS, 'pending')}"
    )


def experiment_states() -> str:
    """Draw the life of an experiment from its transition table."""
    return f"# The life of an experiment\n\n{_EXPERIMENT}\n\n{_life(EXPERIMENT_TRANSITIONS, 'draft')}"


_EXPERIMENT = """Drawn from the table in `vedette.experiments.machine`. An event that is not in it is refused, and the
experiment is as before. Nothing runs twice: evidence of two lives of one experiment would not be comparable."""


def _life(transitions: Mapping[tuple[_State, _Happening], _State], first: str) -> str:
    """Draw a transition table as a diagram and as a table."""
    arrows = "\n".join(f"    {phase} --> {follows}: {event}" for (phase, event), follows in transitions.items())
    rows = "\n".join(f"| `{phase}` | `{event}` | `{follows}` |" for (phase, event), follows in transitions.items())
    return (
        f"```mermaid\nstateDiagram-v2\n    [*] --> {first}\n{arrows}\n```\n\n"
        f"| in | event | becomes |\n|---|---|---|\n{rows}\n"
    )


def verdicts() -> str:
    """Render every verdict of an experiment and its meaning."""
    rows = "\n".join(f"| `{status}` | {meaning} |" for status, meaning in STATUSES.items())
    return f"# Verdicts\n\n{_VERDICTS}\n\n| verdict | meaning |\n|---|---|\n{rows}\n"


_VERDICTS = """What an experiment says, in a word: `verdict.status` of its results and of every look. A broken guardrail
is reported whatever else is known; a broken split comes next, and then whether there is enough to judge. `winner`,
`tied` and `stop_futility` are final."""


def metrics() -> str:
    """Render the metrics every domain has, and those a gateway exports."""
    own = "\n".join(f"| `{m.name}` | {m.kind} of `{m.measure}` | {m.better} | {m.unit or '–'} |" for m in BUILT_IN)
    sourced = "\n".join(
        f"| `{camel(field.name)}` | {_default(field)} | {_SOURCE_FIELDS[field.name]} |"
        for field in fields(PrometheusSource)
    )
    lines = Metrics().text([], []).decode().splitlines()
    kinds = dict(line.split(" ", 3)[2:] for line in lines if line.startswith("# TYPE "))
    texts = dict(line.split(" ", 3)[2:] for line in lines if line.startswith("# HELP "))
    exported = "\n".join(f"| `{name}` | {kinds[name]} | {texts[name]} |" for name in sorted(kinds))
    return (
        "# Metrics\n\n## Metrics every domain has\n\nGuardrails name these, or metrics the domain declares itself.\n\n"
        f"| metric | what | better | unit |\n|---|---|---|---|\n{own}\n\n"
        f"## Metrics with a source\n\n{_SOURCE}\n\n| field | default | what |\n|---|---|---|\n{sourced}\n\n"
        "## Metrics a gateway exports\n\n`GET /metrics` of the gateway, in Prometheus' text format.\n\n"
        f"| metric | kind | what |\n|---|---|---|\n{exported}\n"
    )


_SOURCE = """A rate of a domain may have a `source`: two counters that a Prometheus scrapes. It guards rollouts, and
nothing else. [How to guard a rollout by Prometheus](../guides/prometheus.md)."""
_SOURCE_FIELDS = {
    "prometheus": "the address of its HTTP API, or of what speaks it",
    "bad": "a selector of counters of bad events, with `$version` and, if you like, `$domain`",
    "total": "a selector of counters of all events, good and bad",
    "token_env": "the environment variable of the server that holds a bearer token",
    "username": "who asks, with `passwordEnv`",
    "password_env": "the environment variable of the server that holds the password",
    "settle": "how long after a change of traffic counting begins",
    "stale": "an arm whose newest sample is older was not measured: at least twice the scrape interval",
    "dispersion": "the variance of the counts over their mean, 1 or more: events that come in clumps weigh less",
}


def _default(field: "Field[object]") -> str:
    return "required" if field.default is MISSING else f"`{field.default!r}`" if field.default != "" else "none"


def settings() -> str:
    """Render every setting of a server: how it is written, its default, and what the comment beside it says."""
    return (
        f"# Settings of a server\n\n{_SETTINGS}\n\n"
        + "\n\n".join(
            f"## `{name}`\n\n{text}\n\n| setting | default | what |\n|---|---|---|\n{_rows(part)}"
            for (name, text), part in zip(_PARTS.items(), (GatewaySettings, Retention), strict=True)
        )
        + "\n"
    )


def _rows(part: type) -> str:
    meanings = dict(re.findall(r"^    (\w+): .+  # (.+)$", inspect.getsource(part), re.MULTILINE))
    return "\n".join(
        f"| `{camel(field.name)}` | `{_written(field)}` | {meanings[field.name]} |"
        for field in fields(part)
        if not any(isinstance(mark, Elsewhere) for mark in getattr(field.type, "__metadata__", ()))
    )


def _written(field: "Field[Any]") -> str:
    """Write a default as a file of settings would."""
    default: Any = field.default
    if field.type is Seconds:
        return say_duration(default)
    if field.type is Span:
        return f"{default.days}d"
    if field.type is Percent:
        return f"{default:g}%"
    if field.type is Bytes:
        power = max(power for power in range(4) if default % 1024**power == 0)
        return f"{default // 1024**power}{('', 'KiB', 'MiB', 'GiB')[power]}"
    return str(default)


_SETTINGS = """What an operator sets for all domains: in a YAML file that `vedette serve` and `vedette gateway` are
given by `--settings` or `VEDETTE_SETTINGS`. What is not in it has its default. `kill -HUP` reads it again: workers of
the gateway are replaced one by one, without a request failing. A file with a mistake is refused whole, and all stays
as it is.

```yaml
# vedette.yaml
gateway:
  requestLimit: 32MiB
  drainTimeout: 60s        # less than Kubernetes' terminationGracePeriodSeconds
retention:
  outcomes: 60d
```

Times are `250ms`, `90s`, `1h30m`, `60d` or a number of seconds; sizes `64KiB`, `16MiB`, `1GB` or a number of bytes."""
_PARTS = {
    "gateway": """Of `vedette gateway`, and the gateway in `vedette serve`. What a single domain is served with (limits,
deadlines, retries, caches) is [its own configuration](../guides/protect-a-domain.md).""",
    "retention": """How long things are kept, by `vedette serve`; what is older is dropped at its start and every hour,
for good. With several of them give each the same: the shortest wins. Outcomes are kept no longer than any of their
sums. The audit log is kept for ever, and says first where other times apply than before (`retention.set`).""",
}


def api() -> str:
    """Render every route of the control API from its own OpenAPI document."""
    with TemporaryDirectory() as folder, open_plane(folder, actor="") as plane:
        paths = create_app(plane).openapi()["paths"]
    rows = "\n".join(
        f"| `{method.upper()}` | `{path}` | {operation['description'].splitlines()[0]} |"
        for path, operations in sorted(paths.items())
        for method, operation in operations.items()
    )
    return f"# Control API\n\n{_API}\n\n| method | route | what |\n|---|---|---|\n{rows}\n"


def dashboard() -> str:
    """Render every address of the dashboard, and who may come."""
    rows = "\n".join(
        f"| `{way.method}` | `{way.path}` | {way.needs} | {(way.view.__doc__ or '').splitlines()[0]} |"
        for way in sorted(WAYS, key=lambda it: (it.path, it.method))
    )
    roles = "\n".join(f"| {role} | {', '.join(sorted(GRANTS[role]))} |" for role in Role)
    return (
        f"# Dashboard\n\n{_DASHBOARD}\n\n## Roles\n\n| role | may |\n|---|---|\n{roles}\n\n"
        f"## Addresses\n\n| method | address | takes | what |\n|---|---|---|---|\n{rows}\n"
    )


_DASHBOARD = """Pages are rendered on the server; every GET is a whole page that can be linked to. A form carries the
key of the session that asked for it. What is `public` needs nobody to have signed in; everything else is denied unless
the role has the permission. [How to let people in](../guides/dashboard.md)."""


_API = """It describes itself, bodies and errors included, at `/api/v1/openapi.json`. Who asks is proven by a token
(`Authorization: Bearer`) or a session; on a server that is nobody's yet, and listens on the loopback only, a write
names its actor in `X-Vedette-Actor` instead. Errors are RFC 9457 problems; single resources carry an `ETag`, and writes
take `If-Match` and `Idempotency-Key`; lists are paged by `after` and `limit`. OFREP and the OpenAI routes are the
gateway's."""

PAGES: dict[str, Callable[[], str]] = {
    "reasons.md": reasons,
    "cautions.md": cautions,
    "rollout-states.md": states,
    "experiment-states.md": experiment_states,
    "verdicts.md": verdicts,
    "metrics.md": metrics,
    "settings.md": settings,
    "api.md": api,
    "dashboard.md": dashboard,
}


def write() -> None:
    """Write every page."""
    for name, render in PAGES.items():
        (FOLDER / name).write_text(render())


if __name__ == "__main__":
    write()
