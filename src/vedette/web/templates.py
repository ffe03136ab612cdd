"""Templates: everything is escaped, a name that is not there fails, and filters say things as people read them."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from vedette.api.system import VERSION
from vedette.experiments.wording import said_interval, said_of
from vedette.governance.roles import Permission
from vedette.kernel.clock import say_duration
from vedette.kernel.documents import dump
from vedette.kernel.tables import UNKNOWN, say, say_interval, say_number, say_p, say_percent
from vedette.web.assets import Assets
from vedette.web.differences import differences
from vedette.web.markup import icon, picture


class Templates:
    """The templates of this package, and what all of them know."""

    def __init__(self, assets: Assets) -> None:
        self._environment = Environment(
            loader=PackageLoader("vedette.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {
            "when": when,
            "ago": ago,
            "clock": clock,
            "duration": say_duration,
            "number": say_number,
            "percent": lambda value: say_percent(value, signed=False),
            "signed_percent": say_percent,
            "share": share,
            "p": say_p,
            "cell": say,
            "json": as_json,
            "brief": brief,
            "changes": changes,
            "said_interval": said_interval,
            "said_of": said_of,
            "picture": picture,
        }
        self._environment.globals |= {
            "asset": assets.url,
            "vedette_version": VERSION,
            "interval": say_interval,
            "Permission": Permission,
            "icon": icon,
            "unknown": UNKNOWN,
        }

    def render(self, name: str, context: Mapping[str, Any]) -> str:
        """Render a template."""
        return self._environment.get_template(name).render(context)


def when(at: datetime | None) -> str:
    """Say a moment in full, with its zone: ``2026-11-25 17:50:03 UTC``."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if at else UNKNOWN


def clock(at: datetime | None) -> str:
    """Say the time of day of a moment: ``17:50:03 UTC``."""
    return f"{at.astimezone(UTC):%H:%M:%S} UTC" if at else UNKNOWN


def ago(at: datetime | None, now: datetime) -> str:
    """Say how long ago a moment was, or how far ahead it is."""
    if at is None:
        return UNKNOWN
    seconds = (now - at).total_seconds()
    said = _rough(abs(seconds))
    return f"in {said}" if seconds < 0 and said != "moments" else "just now" if said == "moments" else f"{said} ago"


def _rough(seconds: float) -> str:
    for size, name in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        if seconds >= (2 * size if size == 1 else size):
            return f"{int(seconds // size)} {name}"
    return "moments"


def share(percent: float | None) -> str:
    """Say a share that is counted in percent: ``12.5%``."""
    return UNKNOWN if percent is None else f"{percent:.4g}%"


def brief(details: Mapping[str, Any], *, longest: int = 160) -> str:
    """Say the details of an audit entry in one line: a decision by its reasons, anything else as data, cut short."""
    decision = details.get("decision")
    reasons = decision.get("reasons", ()) if isinstance(decision, Mapping) else details.get("reasons", ())
    said = "; ".join(str(it.get("message", "")) for it in reasons if isinstance(it, Mapping))
    spec = details.get("spec")
    if not said and isinstance(spec, Mapping) and "name" in details:
        what = spec.get("version") or ", ".join(str(it.get("name")) for it in spec.get("variants", ()))
        said = f"{details['name']}: {what}"
    if not said:
        plain = {name: value for name, value in details.items() if value not in ("", [], {}, None)}
        said = json.dumps(plain, ensure_ascii=False, default=str)[1:-1].replace('"', "")
    return said if len(said) <= longest else said[:longest].rstrip() + "…"


def changes(override: object) -> str:
    """Say what an arm of an experiment changes, in one line."""
    return ", ".join(f"{it.path} {it.after}" for it in differences({}, dump(override)) if it.after not in _USUAL)


_USUAL = {'""', "null", "[]", "{}", '"replace"'}
"""What stands in an override that changes nothing."""


def as_json(value: object) -> str:
    """Write a record, or plain data, as indented JSON for people."""
    plain = dump(value) if hasattr(value, "__dataclass_fields__") else value
    return json.dumps(plain, indent=2, ensure_ascii=False, default=str)
