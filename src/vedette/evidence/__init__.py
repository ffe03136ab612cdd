"""What happened, as sufficient statistics that merge exactly: the only currency of the mathematics.

Requests are counted once, into moments and fixed-edge histograms. From then on everything adds: buckets to arms,
minutes to steps, replicas to a domain. A decision costs by arms, metrics and minutes, never by requests.
"""
