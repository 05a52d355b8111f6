"""T3 and T4 of the gate: does the life go worse since another checkpoint acts?"""

from scipy.stats import binomtest, fisher_exact

from agentd.lived import LifeRecord, LivedStep, Tally
from learners.config import CanaryConfig


class Guard:
    """Compares what a checkpoint lives with the life's record before it.

    Counts are small and come by chance: collisions and failed goals are compared by exact tests,
    and trip the guard only where chance would hardly ever bring as many.

    Args:
        checkpoint_id: Who is watched; steps of others do not count.
        record: The life before.
        config: Thresholds.
    """

    def __init__(self, checkpoint_id: str, record: Tally, config: CanaryConfig) -> None:
        self.checkpoint_id, self._record, self._config = checkpoint_id, record, config
        self._own = LifeRecord(config.record_steps)
        self.steps = 0
        """Steps that the checkpoint acted."""

    def note(self, lived: LivedStep) -> None:
        """Count a step; called by the loop."""
        if lived.checkpoint_id == self.checkpoint_id:
            self._own.note(lived)
            self.steps += 1

    def trip(self) -> str | None:
        """Return why the checkpoint must not go on, None while nothing speaks against it."""
        own = self._own.tally()
        return self._too_many_bumps(own) or self._too_many_failures(own)

    def text(self) -> str:
        """Return what happened, next to the record."""
        return f"{self._own.tally().text()}; before: {self._record.text()}"

    def _too_many_bumps(self, own: Tally) -> str | None:
        config, before = self._config, self._record
        if own.bumps < config.min_bumps or before.steps == 0:
            return None
        usual = before.bumps / before.steps
        if own.bumps / own.steps < config.max_bump_ratio * usual:
            return None
        # Given how many there were in all: how many of them fall into these steps by chance?
        share = own.steps / (own.steps + before.steps)
        chance = binomtest(own.bumps, own.bumps + before.bumps, share, alternative="greater").pvalue
        if chance >= config.max_chance:
            return None
        return f"too many collisions: {self.text()} (by chance {chance:.1g})"

    def _too_many_failures(self, own: Tally) -> str | None:
        before = self._record
        if own.failed == 0 or before.reached + before.failed == 0:
            return None
        table = [[own.failed, own.reached], [before.failed, before.reached]]
        chance = float(fisher_exact(table, alternative="greater").pvalue)
        if chance >= self._config.max_chance:
            return None
        return f"too many failed goals: {self.text()} (by chance {chance:.1g})"
