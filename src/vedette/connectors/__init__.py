"""Hands held out to other systems: model backends today; each port has at least two real ones behind it."""
