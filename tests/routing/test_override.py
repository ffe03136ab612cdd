"""What a variant may change, and what it may not."""

import pytest

from vedette.kernel.errors import InvalidInput
from vedette.routing.override import Override, Prompt, Route, Rule


@pytest.mark.parametrize("name", ["model", "messages", "prompt", "input", "stream", "user", "a b", "", "x" * 65])
def test_only_decoding_is_a_parameter(name):
    """What the gateway or the client owns, and what is no name, cannot be overridden as a parameter."""
    with pytest.raises(InvalidInput, match="overridden as a parameter"):
        Override(parameters={name: 1})


def test_values_cannot_hide_their_variant():
    """An application is told the variant's name beside the values, so no value has that name."""
    with pytest.raises(InvalidInput, match="variant"):
        Override(values={"variant": "b"})


@pytest.mark.parametrize("template", ["no question", "{query} and {query}"])
def test_a_template_holds_the_question_once(template):
    """A template that loses or repeats the question is refused."""
    with pytest.raises(InvalidInput, match="query"):
        Prompt(template=template)


def test_a_prompt_changes_something():
    """A prompt without words is refused."""
    with pytest.raises(InvalidInput, match="needs a system message"):
        Prompt()


@pytest.mark.parametrize("retries", [-1, 6])
def test_retries_are_bounded(retries):
    """An override cannot ask for retries without end."""
    with pytest.raises(InvalidInput, match="retries"):
        Route(retries=retries)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"attribute": "X-Plan", "values": ("a",)}, "no attribute"),
        ({"attribute": "x-plan"}, "needs values"),
        ({"attribute": "x-plan", "test": "exists", "values": ("a",)}, "takes no values"),
        ({"attribute": "x-plan", "test": "matches", "values": ("(",)}, "no pattern"),
    ],
)
def test_a_rule_that_says_nothing_is_refused(fields, said):
    """Attributes are user or headers in lower case, with the values their test needs."""
    with pytest.raises(InvalidInput, match=said):
        Rule(**fields)


def test_an_override_names_what_it_touches():
    """Each thing changed has a name, down to single parameters and values, so that clashes can be told."""
    override = Override(version="v2", parameters={"seed": 1}, values={"colour": "red"}, route=Route(retries=1))
    assert override.touches() == {"version", "route", "parameters.seed", "values.colour"}
    assert Override().touches() == frozenset()
