"""Who did what, and how it is proven: the audit chain."""
