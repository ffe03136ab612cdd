"""vedette: the release and operations control plane for domain models."""

__version__ = "0.1.0"
