"""What an operator says about a gateway in a file, and how it comes into force."""

import httpx
import pytest
from tests.gateway.workers import Feed, Sink

from vedette.gateway.settings import GatewaySettings
from vedette.gateway.supervisor import Supervisor
from vedette.kernel.documents import read_record
from vedette.kernel.errors import InvalidDocument
from vedette.kernel.records import camel


def read(text: str) -> GatewaySettings:
    """Read settings as the command line does."""
    return read_record(GatewaySettings, text, "gateway.yaml")


def test_settings_are_read_with_their_units():
    """Times, sizes and shares are written with units, and what is not written has its default."""
    said = read("requestLimit: 32MiB\ndrainTimeout: 1m30s\ntraceShare: 5%\nlocal_threads: 4")
    assert (said.request_limit, said.drain_timeout, said.trace_share, said.local_threads) == (32 << 20, 90.0, 5.0, 4)
    assert said.stream_timeout == 3600.0
    assert read("") == read("# nothing\n") == GatewaySettings()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("idleTimeout: 60s\nrequestLmit: 1MiB", "gateway.yaml:2:1: requestLmit: unknown field"),
        ("idleTimeout: soon", "gateway.yaml:1:1: idleTimeout: 'soon' is no duration"),
        ("requestLimit: 0", "requestLimit must be more than zero"),
        ("pipelineLimit: 1.5", "gateway.yaml:1:1: pipelineLimit"),
        ("- requestLimit", "one mapping of names and values"),
        ("requestLimit: 1MiB\n---\nrequestLimit: 2MiB", "one mapping of names and values"),
        ("requestLimit: 1MiB\nrequestLimit: 2MiB", "gateway.yaml:2:1: malformed YAML"),
    ],
)
def test_what_is_no_setting_is_refused_with_its_place(text, complaint):
    """Misspelt names and values that are none are refused with line and column, and nothing is taken."""
    with pytest.raises(InvalidDocument) as told:
        read(text)
    assert complaint in str(told.value)


@pytest.mark.parametrize("name", ["router", "worker", "pepper_file", "sync_every", "cache_url", "otlp_endpoint"])
def test_what_is_said_elsewhere_is_not_taken_from_the_file(name):
    """A setting with a place of its own is refused in the file, however it is spelt, and told where that place is."""
    for written in (name, camel(name)):
        with pytest.raises(InvalidDocument, match=f"gateway.yaml:2:1: {written}: is not said here") as told:
            read(f"heartbeat: 3\n{written}: x")
        assert "(" in str(told.value)


def test_settings_with_which_no_worker_comes_up_change_nothing(tmp_path):
    """A reload whose new worker does not come up leaves the worker and the settings that were in force."""
    supervisor = Supervisor(
        Feed(tmp_path / "away"), Sink(tmp_path / "shipped"), tmp_path, settings=GatewaySettings(request_limit=100)
    )
    supervisor.start()
    try:
        address = "http://{}:{}".format(*supervisor.address)

        def limit() -> str:
            answer = httpx.post(f"{address}/v1/chat/completions", content=b"x" * 1000)
            return str(answer.json()["error"]["message"])

        before = supervisor.processes
        assert not supervisor.reload(GatewaySettings(request_limit=200, cache_url="nonsense://nowhere"))
        assert supervisor.processes == before
        assert "100 bytes" in limit()
        assert supervisor.reload()
        assert "100 bytes" in limit()
        assert supervisor.reload(GatewaySettings(request_limit=200))
        assert "200 bytes" in limit()
    finally:
        supervisor.stop()
