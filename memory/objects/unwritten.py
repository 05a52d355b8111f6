"""What changed in the object memory since its tables were written last."""

from dataclasses import dataclass, field

from memory.objects.changes import Change


@dataclass(slots=True)
class Unwritten:
    """What changed since the tables were written last."""

    slots: set[int] = field(default_factory=set)
    removed_slots: set[int] = field(default_factory=set)
    views: set[int] = field(default_factory=set)
    moved_views: set[int] = field(default_factory=set)
    removed_views: set[int] = field(default_factory=set)
    changes: list[Change] = field(default_factory=list)

    def put_back(self, taken: "Unwritten") -> None:
        """Add what could not be written; what was removed since stays removed."""
        self.slots |= taken.slots - self.removed_slots
        self.views |= taken.views - self.removed_views
        self.moved_views |= taken.moved_views - self.removed_views
        self.removed_slots |= taken.removed_slots
        self.removed_views |= taken.removed_views - self.views
        self.changes[:0] = taken.changes
