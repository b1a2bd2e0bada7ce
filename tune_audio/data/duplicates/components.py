"""What hangs together when things are joined two by two."""

from typing import Generic, TypeVar

Thing = TypeVar("Thing", str, int, tuple[str, str])


class Components(Generic[Thing]):
    """Things, of which those that were joined, however indirectly, are in one component."""

    def __init__(self) -> None:
        self._less: dict[Thing, Thing] = {}

    def join(self, a: Thing, b: Thing) -> None:
        least, other = sorted((self.least(a), self.least(b)))
        self._less[other] = least

    def same(self, a: Thing, b: Thing) -> bool:
        return self.least(a) == self.least(b)

    def least(self, thing: Thing) -> Thing:
        """The least of its component, in whatever order it was joined."""
        self._less.setdefault(thing, thing)
        while (less := self._less[thing]) != thing:
            self._less[thing] = thing = self._less[less]
        return thing
