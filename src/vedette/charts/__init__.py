"""Pictures as SVG text, drawn from numbers: they know nothing of the product and need nothing to be shown.

One module a picture: `forest` (effects with intervals), `ranks`, `sequence` (estimates look by look), `boundaries`
(z-scores of a group-sequential design), `power`, `timeline` (shares of traffic). Each gives a `chart.Chart`: the SVG,
and the table of the numbers behind it.
"""
