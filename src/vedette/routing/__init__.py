"""Which version answers a request: one immutable plan per domain, and the pure choice made from it."""
