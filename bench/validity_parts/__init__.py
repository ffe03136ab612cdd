"""The parts of the validity benchmark: see `bench/validity.py`."""
