"""`Client`: the control plane of a server, by the names the control plane has here."""

from typing import TYPE_CHECKING, Self

import httpx

from vedette.client.domains import Domains
from vedette.client.experiments import Experiments
from vedette.client.governance import Governance
from vedette.client.keys import Keys
from vedette.client.outcomes import Lake, Outcomes
from vedette.client.rollouts import Rollouts
from vedette.client.traffic import Traffic
from vedette.client.versions import Versions
from vedette.client.wire import Wire

if TYPE_CHECKING:
    from vedette.control.apply import Applied


class Client:
    """A control plane that runs elsewhere; safe to use from several threads.

    Args:
        url: of the control API, such as ``http://127.0.0.1:8700``.
        actor: who does what is done without naming an ``actor``.
        token: what lets one in; then the server knows who acts, whatever ``actor`` is.
        timeout: seconds an answer may take.
        transport: another way to send requests, for tests.

    Attributes:
        domains: the domain catalogue.
        versions: model versions and what served when.
        canary: rollouts.
        experiments: experiments.
        keys: who may ask the gateways.
        traffic: traffic plans, and which version a unit sees.
        governance: the audit log.
        outcomes: outcomes made elsewhere, and late judgements.
        lake: the same by the names of the lake, and single outcomes.

    Every method raises the errors its counterpart in `vedette.ControlPlane` raises, and ``Unavailable`` when the
    server does not answer.
    """

    def __init__(
        self,
        url: str,
        *,
        actor: str = "",
        token: str = "",
        timeout: float = 30.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._wire = Wire(url, actor or ("token" if token else ""), timeout, transport, token)
        self.domains = Domains(self._wire)
        self.versions = Versions(self._wire)
        self.canary = Rollouts(self._wire)
        self.experiments = Experiments(self._wire)
        self.keys = Keys(self._wire)
        self.traffic = Traffic(self._wire)
        self.governance = Governance(self._wire)
        self.outcomes = Outcomes(self._wire)
        self.lake = Lake(self._wire)

    @property
    def url(self) -> str:
        """The server's address."""
        return self._wire.url

    def apply(
        self, text: str, *, actor: str = "", dry_run: bool = False, request_id: str = ""
    ) -> "tuple[Applied, ...]":
        """Make what is stored be as the documents of a YAML or JSON text say, all of it or nothing.

        In complaints the text is called ``<body>``; local artefacts are paths on the server.
        """
        from vedette.client.applying import Application

        found = self._wire.send(Application, "POST", "/apply", text, actor=actor, request_id=request_id, dryRun=dry_run)
        return found.items

    def close(self) -> None:
        """Close the connections."""
        self._wire.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
