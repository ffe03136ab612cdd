"""p-value and interval of one result, held side by side."""

import pytest


def agree(got, null, alpha, *, rounding):
    """Check that p and interval say the same, unless the null value is at an end but for rounding."""
    if got.p_value is None:
        assert got.warnings
        return
    outside = (got.low is not None and null < got.low) or (got.high is not None and null > got.high)
    ends = [end for end in (got.low, got.high) if end is not None]
    if all(end != pytest.approx(null, rel=1e-7, abs=rounding) for end in ends) and got.p_value != pytest.approx(alpha):
        assert outside == (got.p_value <= alpha)
