"""Gateways on stages."""

import asyncio

import pytest
import uvloop
from tests.gateway.stage import Stage, staged


@pytest.fixture
def stage(tmp_path):
    """A stage, on uvloop."""
    with staged(tmp_path / "data") as stage:
        yield stage


@pytest.fixture(params=[uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def stage_on_each_loop(request, tmp_path):
    """A stage on uvloop, then on Python's own event loop."""
    with staged(tmp_path / "data", request.param) as stage:
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
