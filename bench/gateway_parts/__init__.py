"""The parts of the gateway benchmark: see `bench/gateway.py`."""
