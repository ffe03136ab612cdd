"""What there is: domains, their configuration and lifecycle, model versions and the backends that answer."""
