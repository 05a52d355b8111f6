"""Which slots one frame showed side by side: those are two objects, whatever their boxes say."""

from collections.abc import Container, Iterable, Mapping, Sequence


class SeenBeside:
    """A symmetric relation between slot ids; slots without any cost nothing."""

    def __init__(self) -> None:
        self._of: dict[int, set[int]] = {}

    def of(self, slot_id: int) -> frozenset[int] | set[int]:
        """Return the slots that were seen beside one; not to be changed."""
        return self._of.get(slot_id, frozenset())

    def join(self, slot_ids: set[int]) -> None:
        """Note that one frame showed all of them."""
        for slot_id in slot_ids:
            known = self._of.setdefault(slot_id, set())
            known |= slot_ids
            known.discard(slot_id)

    def put(self, slot_id: int, others: Iterable[int]) -> None:
        """Note that a slot was seen beside others."""
        for other in others:
            if other != slot_id:
                self._of.setdefault(slot_id, set()).add(other)
                self._of.setdefault(other, set()).add(slot_id)

    def forget(self, slot_id: int) -> None:
        """Remove a slot."""
        for other in self._of.pop(slot_id, ()):
            left = self._of[other]
            left.discard(slot_id)
            if not left:
                del self._of[other]

    def fill(self, of: Mapping[int, Sequence[int]], known: Container[int]) -> None:
        """Take in stored pairs of slots that are known; there must be none yet."""
        for slot_id, others in of.items():
            there = {other for other in others if other in known and other != slot_id}
            if there:
                self._of[slot_id] = there
        # A process that was killed may have written one side of a pair.
        for slot_id, beside in list(self._of.items()):
            for other in beside:
                if slot_id not in self._of.setdefault(other, set()):
                    self._of[other].add(slot_id)
