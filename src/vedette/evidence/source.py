"""Where a metric comes from that no outcome holds: counters which Prometheus scrapes from somebody else.

A source names two raw counters, of bad events and of all events. What is counted are increments between samples, whole
numbers, in which the same test is valid as in every other rate. PromQL's own ``rate()`` and ``increase()`` extrapolate
to the ends of their window, and a threshold on a gauge has no error rate to keep; so neither can be written here.
"""

import re
from typing import Literal
from urllib.parse import urlsplit

from vedette.kernel.errors import InvalidInput
from vedette.kernel.fields import Seconds
from vedette.kernel.records import record

_NAME, _LABEL = r"[a-zA-Z_:][a-zA-Z0-9_:]*", r"[a-zA-Z_][a-zA-Z0-9_]*"
_MATCHER = rf'\s*{_LABEL}\s*(?:=~|!~|!=|=)\s*"(?:[^"\\\n]|\\.)*"\s*'
_SELECTOR = re.compile(rf"\s*(?:{_NAME}\s*)?(?:\{{(?:{_MATCHER}(?:,{_MATCHER})*,?)?\s*\}}\s*)?")
_STRING = re.compile(r'(=~|!~|!=|=)\s*"((?:[^"\\\n]|\\.)*)"')
_VARIABLE = re.compile(r"\$([a-zA-Z_]\w*)")
_SPECIAL = re.compile(r"([\\.+*?()|\[\]{}^$])")
_ENVIRONMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@record
class PrometheusSource:
    """Two counters of a Prometheus: ``bad`` events of a version, and its events in ``total``, good and bad.

    Both are selectors, such as ``http_requests_total{service="pay",version="$version",code=~"5.."}``; ``$version`` and
    ``$domain`` are filled in. ``token_env`` (or ``username`` and ``password_env``) name environment variables of the
    server that hold the secret. ``settle`` is how long after a change of traffic counting begins; an arm whose newest
    sample is older than ``stale`` was not measured; ``dispersion`` is the variance of the counts over their mean, above
    1 where events come in clumps.
    """

    prometheus: str
    bad: str
    total: str
    token_env: str = ""
    username: str = ""
    password_env: str = ""
    settle: Seconds = 30.0
    stale: Seconds = 120.0
    dispersion: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what is no address, no counter, or a secret written down."""
        parts = urlsplit(self.prometheus)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise InvalidInput(f"{self.prometheus!r} is no base URL", hint="write http://prometheus:9090")
        if parts.username or parts.password:
            raise InvalidInput(
                "the address of a Prometheus must hold no password", hint="name it: username and passwordEnv"
            )
        for what, selector in (("bad", self.bad), ("total", self.total)):
            _check(what, selector)
        if self.bad.split() == self.total.split():
            raise InvalidInput("bad and total are the same counter", hint="bad counts fewer events than total")
        for name in filter(None, (self.token_env, self.password_env)):
            if not _ENVIRONMENT.fullmatch(name) or name.upper().startswith("VEDETTE_"):
                raise InvalidInput(
                    f"{name!r} cannot name the environment variable of a secret for others",
                    hint="name a variable of its own, such as PROMETHEUS_TOKEN",
                )
        if (self.token_env and (self.username or self.password_env)) or bool(self.username) != bool(self.password_env):
            raise InvalidInput("a source takes tokenEnv, or username with passwordEnv")
        if not 1 <= self.dispersion < float("inf"):
            raise InvalidInput(f"dispersion must be 1 or more, not {self.dispersion}")
        if self.stale <= 0:
            raise InvalidInput("stale must be above 0", hint="twice the scrape interval, such as 2m")

    def selector(self, which: Literal["bad", "total"], *, domain: str, version: str) -> str:
        """Give one of the two selectors with the names filled in: as text, and in a regular expression as letters."""
        values = {"domain": domain, "version": version}

        def fill(found: re.Match[str]) -> str:
            operator, text = found.groups()
            literal = operator in {"=", "!="}

            def value(variable: re.Match[str]) -> str:
                name = values[variable[1]]
                return _escape(name if literal else _SPECIAL.sub(r"\\\1", name))

            return f'{operator}"{_VARIABLE.sub(value, text)}"'

        return _STRING.sub(fill, self.bad if which == "bad" else self.total)


def _check(what: str, selector: str) -> None:
    """Refuse what is no plain selector of one version's counters."""
    if not selector.strip() or not _SELECTOR.fullmatch(selector):
        raise InvalidInput(
            f"{what}: {selector!r} is no selector of counters",
            hint='name the counter itself, such as http_requests_total{version="$version"}, strings in double quotes; '
            "vedette adds up its increments, so no rate(), increase(), sum() or [5m]",
        )
    named = {variable for _, text in _STRING.findall(selector) for variable in _VARIABLE.findall(text)}
    if unknown := sorted(named - {"version", "domain"}):
        raise InvalidInput(f"{what}: there is no ${unknown[0]}", hint="$version and $domain are filled in")
    if "version" not in named:
        raise InvalidInput(
            f"{what} must choose one version's counters by $version", hint='such as {version="$version"}'
        )


def _escape(text: str) -> str:
    """Write text so that it can stand in a double-quoted string of PromQL."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
