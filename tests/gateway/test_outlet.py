"""What one turn of the loop has to say goes out by its end, in order, and nothing of it is lost or held for long."""

import asyncio

from vedette.gateway.outlet import Burst, Outlet


class Transport(asyncio.Transport):
    """Takes note of what it is told."""

    def __init__(self, told, name=""):
        super().__init__()
        self.told, self.name, self.gone = told, name, False

    def is_closing(self):
        """Whether it is gone."""
        return self.gone

    def write(self, data):
        """Note what is sent."""
        self.told.append((self.name, bytes(data)))

    def write_eof(self):
        """Note the end."""
        self.told.append((self.name, "eof"))

    def close(self):
        """Note it, and be gone."""
        self.gone = True
        self.told.append((self.name, "closed"))


def test_who_is_alone_waits_for_nothing_and_many_go_out_together():
    """The first write of a turn goes out at once unless the turn before had several; the others at the turn's end."""

    async def turns():
        told: list[tuple[str, object]] = []
        burst = Burst()
        first, second = (Outlet(Transport(told, name), burst) for name in "ab")
        seen = []
        for turn in (b"1", b"2"):
            first.write(turn)
            second.write(turn)
            second.write(b"!")
            seen.append(len(told))
            await asyncio.sleep(0)
        for turn in (b"3", b"4"):
            first.write(turn)
            seen.append(len(told))
            await asyncio.sleep(0)
        return seen, told

    seen, told = asyncio.run(turns())
    assert told == [("a", b"1"), ("b", b"1!"), ("a", b"2"), ("b", b"2!"), ("a", b"3"), ("a", b"4")]
    assert seen == [1, 2, 4, 6]


def test_what_waits_goes_out_before_the_end():
    """An end or a close sends first what waits, and the turn's end adds nothing to it."""

    async def turn():
        told: list[tuple[str, object]] = []
        burst = Burst()
        burst.begin()
        ended, closed = (Outlet(Transport(told, name), burst) for name in "ab")
        ended.write(b"1")
        ended.write_eof()
        closed.write(b"2")
        closed.close()
        await asyncio.sleep(0)
        return told

    assert asyncio.run(turn()) == [("a", b"1"), ("a", "eof"), ("b", b"2"), ("b", "closed")]


def test_much_goes_out_at_once():
    """More than some thirty kilobytes do not wait for the turn's end, so a slow reader is felt before more is read."""

    async def turn():
        told: list[tuple[str, object]] = []
        burst = Burst()
        burst.begin()
        outlet = Outlet(Transport(told), burst)
        outlet.write(b"x" * 30_000)
        outlet.write(b"y" * 30_000)
        return list(told)

    assert asyncio.run(turn()) == [("", b"x" * 30_000 + b"y" * 30_000)]


def test_a_connection_that_went_away_is_written_nothing():
    """A connection lost in the middle of a turn is not written to, and the others are."""

    async def turn():
        told: list[tuple[str, object]] = []
        burst = Burst()
        burst.begin()
        gone = Transport(told, "a")
        lost, kept = Outlet(gone, burst), Outlet(Transport(told, "b"), burst)
        lost.write(b"1")
        kept.write(b"2")
        gone.gone = True
        await asyncio.sleep(0)
        return told

    assert asyncio.run(turn()) == [("b", b"2")]
