"""Which of several variants is better: designs, assignment in layers, analysis, verdicts, and the life of a test."""
