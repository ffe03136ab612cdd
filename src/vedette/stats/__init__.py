"""The mathematics of a verdict: sufficient statistics in, evidence with its uncertainty out."""
