"""A gateway on a stage, on either event loop."""

import asyncio

import pytest
import uvloop
from tests.gateway.stage import Stage, staged


@pytest.fixture(params=["uvloop", "asyncio"])
def stage(request, tmp_path):
    """A stage on either event loop."""
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
    with staged(tmp_path / "data", factory) as stage:
        yield stage


@pytest.fixture
def make_stage(tmp_path):
    """Make a stage with settings of one's own."""
    stages = []

    def make(**settings):
        stages.append(Stage(tmp_path / "data", **settings))
        return stages[-1]

    yield make
    for stage in stages:
        stage.close()
