"""What differs between two documents, field by field."""

from vedette.web.differences import Difference, differences, recorded


def test_only_what_differs_is_named_by_its_path():
    """Equal fields are left out; nested ones, and places in lists, are named."""
    found = differences({"a": 1, "b": {"c": [1, 2]}, "d": None}, {"a": 1, "b": {"c": [1, 3]}, "e": "new"})
    assert found == (
        Difference(path="b.c[1]", before="2", after="3"),
        Difference(path="e", before="", after='"new"'),
    )


def test_what_came_and_what_went_is_empty_on_the_other_side():
    """A field that is gone has nothing after, a new one nothing before."""
    assert differences({"x": {}}, {}) == (Difference(path="x", before="{}", after=""),)
    assert differences({}, {"x": []}) == (Difference(path="x", before="", after="[]"),)
    assert differences({}, {}) == ()


def test_an_entrys_changes_are_read_and_anything_else_is_none():
    """`changed` of an audit entry is pairs; what is not is left alone."""
    assert recorded({"changed": {"state": ["active", "archived"]}}) == (
        Difference(path="state", before='"active"', after='"archived"'),
    )
    assert recorded({"changed": "everything"}) == ()
    assert recorded({"changed": {"x": "y"}}) == ()
    assert recorded({}) == ()
