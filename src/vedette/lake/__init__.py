"""What happened, kept: outcomes on their way (journal), outcomes at rest, and the sums every decision reads.

An outcome is first appended to the gateway's journal, before the answer's last byte. Batches of it are shipped to the
lake, where one transaction stores the outcomes never seen before and adds them to the sums. Sending anything twice is
harmless at every stage, so whoever does not know whether it arrived sends it again.
"""
