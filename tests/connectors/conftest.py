"""One table after the other engine's way, for tests that hold for all of them."""

import pytest
from tests.connectors.tables import ENGINES


@pytest.fixture(params=ENGINES)
def source(request, tmp_path):
    """Give a function that turns columns into a source of each engine."""
    return lambda table: ENGINES[request.param](table, tmp_path)
