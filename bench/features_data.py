"""Questions for `features.py`, made here: things people want, and the ways they have to say each of them.

Each want has an answer of its own, so that it is known whether a cache gave the right one. Made to be hard: wants come
in pairs that differ in a word ("before" and "after", "when" and "why"), or in a name. Real traffic is another matter.
"""

import random
from collections.abc import Sequence

_THINGS = ("the blue shoes", "the red shoes", "my winter coat", "a gift card", "the coffee machine", "my bicycle")
_WANTS = (
    ("cancel the order of {}", "stop the order of {}", "withdraw my order of {}"),
    ("change the order of {}", "alter the order of {}", "amend my order of {}"),
    ("return {} before it was paid", "send {} back before it was paid", "give {} back before paying"),
    ("return {} after it was paid", "send {} back after it was paid", "give {} back after paying"),
    ("know when {} arrives", "find out when {} will be delivered", "learn the delivery date of {}"),
    ("know why {} did not arrive", "find out why {} was not delivered", "learn why {} is late"),
    ("pay for {} by invoice", "get an invoice for {} and pay later", "be billed for {}"),
    ("pay for {} by card", "use my card for {}", "charge my card for {}"),
)
_FRAMES = (
    "I want to {}.",
    "I want to {}, please.",
    "Hello, I want to {}. Thank you!",
    "How do I {}?",
    "how can i {}",
    "Could you tell me how to {}?",
    "Please help me to {}.",
)


def questions(count: int, seed: int) -> Sequence[tuple[int, str]]:
    """Make questions as they come in, each with the number of the want behind it; a few wants are asked often."""
    dice = random.Random(seed)
    wants = [(want, thing) for want in _WANTS for thing in _THINGS]
    dice.shuffle(wants)
    weights = [1 / (rank + 1) for rank in range(len(wants))]
    return [_say(dice, number, *wants[number]) for number in dice.choices(range(len(wants)), weights, k=count)]


def _say(dice: random.Random, number: int, ways: Sequence[str], thing: str) -> tuple[int, str]:
    text = dice.choice(_FRAMES).format(dice.choice(ways).format(thing))
    if dice.random() < 0.2:  # two letters change places
        place = dice.randrange(len(text) - 1)
        text = text[:place] + text[place + 1] + text[place] + text[place + 2 :]
    return number, text
