"""Documents are read strictly, and every complaint says at which line and column."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.catalog.domain import DomainSpec
from vedette.catalog.version import VersionSpec
from vedette.kernel.documents import dump, load, read_documents
from vedette.kernel.errors import InvalidDocument, InvalidInput
from vedette.kernel.fields import percent, size, span
from vedette.rollouts.spec import RolloutSpec

HEAD = "apiVersion: vedette/v1\nkind: Rollout\nmetadata: {name: ship}\nspec:\n  version: v2\n"
"""Five lines; what follows begins at line 6."""


def build(text: str) -> RolloutSpec:
    """Read one rollout."""
    (document,) = read_documents(text, "ship.yaml")
    return document.build(RolloutSpec, domain="pay")


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("a: b: c", 1, 5),
        ("a: 1\n\tb: 2", 2, 1),
        ("a:\n  - [1, 2\n", 3, 1),
        ("a: 1\nb: 2\na: 3", 3, 1),  # a key given twice
        ("a: 'open", 1, 9),
        ("a: 1\nb: \x00", 2, 4),
        ("a: *nowhere", 1, 4),
        ("a: " + "[" * 600 + "]" * 600, 1, 1),
    ],
)
def test_malformed_yaml_is_told_with_line_and_column(text, line, column):
    """Text that is no YAML is refused with the line and column at which it stops being any."""
    with pytest.raises(InvalidDocument, match=r"malformed YAML") as told:
        read_documents(text, "bad.yaml")
    assert (told.value.line, told.value.column) == (line, column)
    assert str(told.value).startswith(f"bad.yaml:{line}:{column}: ")
    assert "\n" not in told.value.message


@pytest.mark.parametrize(
    ("body", "line", "column", "path", "said"),
    [
        ("  stepz: []\n", 6, 3, "stepz", "unknown field"),
        ("  alpha: low\n", 6, 3, "alpha", "valid number"),
        ("  steps:\n  - weight: 1%\n  - weight: 150%\n", 8, 5, "steps[1].weight", "no weight"),
        ("  steps:\n  - {weight: 1, bake: 5x}\n", 7, 17, "steps[0].bake", "no duration"),
        ("  steps:\n  - {weight: 1, bake: null}\n", 7, 17, "steps[0].bake", "no duration"),
        ("  steps:\n  - {weight: 1, bake: [1]}\n", 7, 17, "steps[0].bake", "no duration"),
        ("  steps:\n  - weight: null\n", 7, 5, "steps[0].weight", "no weight"),
        ("  steps:\n  - weight: true\n", 7, 5, "steps[0].weight", "no weight"),
        ("  steps:\n  - weight: 1\n    wait: 5\n", 8, 5, "steps[0].wait", "unknown field"),
        ("  guardrails:\n  - metric: errors\n  - tolerance: 0.1\n", 8, 5, "guardrails[1].metric", "is missing"),
        ("  guardrails:\n  - metric: errors\n    minSamples: -5\n", 7, 5, "guardrails[0]", "minSamples"),
        ("  calendar:\n    windows:\n    - hours: 9-17\n", 8, 7, "calendar.windows[0]", "no hours"),
        ("  calendar: {timeZone: Europe}\n", 6, 3, "calendar", "no time zone"),
        ("  onRegression: explode\n", 6, 3, "onRegression", "'abort', 'pause' or 'notify'"),
        ("  group: {name: Ä}\n", 6, 3, "group", "cannot name a group"),
        ("  steps: [{weight: 100}, {weight: 50}]\n", 4, 1, "document", "last step's weight must be 100%"),
        ("  steps:\n  - setWeight: 5\n  - pause: 10m\n  - setWeight: 100\n", 6, 3, "steps", "pause"),
        ("  steps:\n  - setWeight: 5\n  - pause: {durration: 10m}\n  - setWeight: 100\n", 6, 3, "steps", "pause"),
        ("  steps:\n  - pause: {}\n  - setWeight: 100\n", 6, 3, "steps", "beginning with setWeight"),
        ("  steps: 5\n", 6, 3, "steps", "tuple"),
        ("  webhooks: [ftp://example.org]\n", 4, 1, "document", "no web address"),
    ],
)
def test_wrong_field_is_told_with_line_and_column(body, line, column, path, said):
    """An unknown field, a wrong type or value is named with its path, line and column, inside lists too."""
    with pytest.raises(InvalidDocument, match=said) as told:
        build(HEAD + body)
    assert (told.value.line, told.value.column, told.value.path) == (line, column, path)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("- 1", 1, "a document is a mapping"),
        ("kind: Rollout\n", 1, "apiVersion must be 'vedette/v1'"),
        ("apiVersion: vedette/v2\n", 1, "apiVersion must be 'vedette/v1'"),
        ("apiVersion: vedette/v1\nkind: Rolout\n", 2, "unknown kind 'Rolout'"),
        ("apiVersion: vedette/v1\nkind: [1]\n", 2, r"unknown kind \[1\]"),
        ("apiVersion: vedette/v1\nkind: Domain\n", 1, "metadata.name is missing"),
        ("apiVersion: vedette/v1\nkind: Domain\nmetadata: {name: 5}\n", 3, "metadata.name is missing"),
        ("apiVersion: vedette/v1\nkind: Domain\nmetadata: {name: a, lables: {}}\n", 3, "unknown field 'lables'"),
        ("apiVersion: vedette/v1\nkind: Domain\nmetadata: {name: a, labels: {a: 1}}\n", 3, "labels must map"),
        ("apiVersion: vedette/v1\nkind: Domain\nmetadata: {name: a}\nspec: 5\n", 4, "spec must be a mapping"),
        ("apiVersion: vedette/v1\nkind: Domain\nmetadata: {name: a}\nspce: {}\n", 4, "unknown field 'spce'"),
    ],
)
def test_wrong_envelope_is_told_with_its_line(text, line, said):
    """What is wrong around a spec is named with its line."""
    with pytest.raises(InvalidDocument, match=said) as told:
        read_documents(text)
    assert told.value.line == line


def test_second_document_counts_its_lines_from_the_top_of_the_file():
    """In a file of several documents a complaint gives the line in the file."""
    with pytest.raises(InvalidDocument) as told:
        [d.build(RolloutSpec, domain="pay") for d in read_documents(f"{HEAD}---\n{HEAD}  x: 1\n")]
    assert told.value.line == 12


def test_rollout_is_read_in_the_spelling_of_the_field():
    """Steps written as setWeight and pause mean the same as ours: a duration bakes, an empty pause asks a person."""
    text = HEAD + (
        "  steps:\n  - setWeight: 5\n  - pause: {duration: 10m}\n  - setWeight: 50\n"
        "  - pause: {duration: 1m}\n  - pause: {}\n  - setWeight: 100\n"
    )
    steps = [(step.weight, step.bake, step.approval) for step in build(text).steps]
    assert steps == [(5.0, 600.0, False), (50.0, 60.0, True), (100.0, 0.0, False)]


def test_times_keep_their_offset():
    """A moment with an offset is that moment; one without stays without, for the calendar to place."""
    spec = build(HEAD + "  calendar:\n    freezes:\n    - {begin: 2026-12-20T00:00:00+01:00, end: 2026-12-27 12:00}\n")
    (freeze,) = spec.calendar.freezes
    assert freeze.begin == datetime(2026, 12, 19, 23, tzinfo=UTC)
    assert freeze.begin.utcoffset() == timedelta(hours=1)
    assert freeze.end == datetime(2026, 12, 27, 12)  # noqa: DTZ001 - without an offset, as written


def test_yaml_and_json_mean_the_same():
    """A document in JSON is read as the same document in YAML."""
    text = (
        '{"apiVersion": "vedette/v1", "kind": "Rollout", "metadata": {"name": "ship"},\n'
        ' "spec": {"version": "v2", "steps": [{"weight": "1%", "minSamples": 5}, {"weight": 100}]}}'
    )
    assert build(text) == build(HEAD + "  steps:\n  - {weight: 1 %, minSamples: 5}\n  - weight: 100%\n")


def test_empty_documents_are_skipped():
    """Separators and comments alone are no documents."""
    assert read_documents("---\n# nothing\n---\n") == ()


def test_yaml_runs_no_code():
    """A tag that names a Python object is data or refused, and nothing is called."""
    text = "apiVersion: vedette/v1\nkind: Domain\nmetadata: {name: a}\nspec: !!python/object/apply:os.getcwd []\n"
    with pytest.raises(InvalidDocument):
        read_documents(text)[0].build(DomainSpec)


@given(st.integers(0, 1_000_000))
def test_percent_keeps_every_step_of_its_resolution(millionths):
    """Each of the million weights reads back from its text, with and without the sign."""
    text = f"{millionths // 10_000}.{millionths % 10_000:04}"
    assert percent(f"{text}%") == percent(f" {text} ") == percent(float(text)) == millionths / 10_000


@pytest.mark.parametrize(
    "wrong", ["", "%", "five", "-1%", "100.1%", "nan", "inf", -0.1, 101, None, True, [], {}], ids=repr
)
def test_percent_that_is_none_is_refused(wrong):
    """What is no share of traffic is refused in plain words, whatever its type."""
    with pytest.raises(InvalidInput, match="is no weight"):
        percent(wrong)


@pytest.mark.parametrize("fine", ["0.00001%", 1e-5, "1.00005%"], ids=repr)
def test_percent_finer_than_the_resolution_is_refused(fine):
    """A weight that could not be kept exactly is refused, not rounded."""
    with pytest.raises(InvalidInput, match="finer than weights are"):
        percent(fine)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (0, 0),
        ("10", 10),
        ("64KiB", 65_536),
        ("64 kB", 64_000),
        ("16MiB", 16 << 20),
        ("1.5GB", 1_500_000_000),
        ("2Ti", 2 << 40),
        ("512B", 512),
    ],
)
def test_sizes_are_read_in_powers_of_ten_and_of_two(text, number):
    """A size is a number of bytes, or one with a unit: kB is 1000 bytes and KiB 1024."""
    assert size(text) == number


@pytest.mark.parametrize(
    "text",
    ["", "B", "-1", -1, "1.5", 1.5, "1 XiB", "1e9", True, None, float("nan"), 1 << 70, "9999999TiB"],
    ids=repr,
)
def test_what_is_no_size_is_refused(text):
    """Text that is no size, numbers below zero, parts of a byte and what nothing could hold are refused."""
    with pytest.raises(InvalidInput):
        size(text)


def test_lengths_of_time_are_a_hundred_years_at_most():
    """A length of time that would lead out of the calendar is refused, however it is written."""
    assert span("36500d") == timedelta(days=36_500)
    for longer in ("36501d", 1e11, "99999999999999d"):
        with pytest.raises(InvalidInput, match="hundred years"):
            span(longer)


def test_load_names_every_field_that_is_wrong():
    """Plain data that does not fit is refused with the path of each fault."""
    with pytest.raises(InvalidInput) as told:
        load(RolloutSpec, {"domain": "pay", "steps": [{"weight": 0}], "foo": 1})
    for path in ("version: is missing", "steps[0]", "foo: unknown field"):
        assert path in str(told.value)


def test_dumped_records_load_as_they_were():
    """A record that is dumped as JSON data in camelCase loads as an equal one."""
    spec = build(
        HEAD + "  holdBack: 5\n  group: {name: wave, maxInFlight: 2}\n  calendar: {windows: [{days: [mon]}]}\n"
    )
    plain = dump(spec)
    assert plain["holdBack"] == 5.0
    assert plain["group"] == {"name": "wave", "maxInFlight": 2}
    assert load(RolloutSpec, plain) == spec


def test_backends_are_told_apart_by_kind():
    """An unknown kind of backend, and a field of another kind, are refused."""
    with pytest.raises(InvalidInput, match="backend"):
        load(VersionSpec, {"backend": {"kind": "carrier-pigeon"}})
    with pytest.raises(InvalidInput, match="unknown field"):
        load(VersionSpec, {"backend": {"kind": "openai", "url": "http://x", "model": "m", "digest": "a" * 64}})
