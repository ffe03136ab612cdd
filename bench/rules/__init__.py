"""Rules that decide when to stop a rollout: vedette's, and those of its peers as they describe them.

Each takes simulated traffic and gives, per run, the minute at which it stops, infinite if it never does. The peers' are
written from their documentation and source; in doubt they get the kinder reading, said where it was taken.
"""
