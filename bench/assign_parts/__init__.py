"""The parts of the assignment benchmark: see `bench/assign.py`."""
