"""The one hand that acts: it loads, asks the pure rooms, and commits what they decided."""
