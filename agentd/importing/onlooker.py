"""A policy that decides nothing: it keeps the map while somebody else drives."""

from collections.abc import Sequence

from memory.records import Action, Detection, Goal, Observation
from policies.navigator import Navigator
from policies.protocols import Decision, LatentModel, Mode


class Onlooker:
    """Looks on for a navigator. Satisfies `Policy`.

    Args:
        navigator: Whose map is kept.
        tick_s: Duration of a step.
    """

    def __init__(self, navigator: Navigator, tick_s: float) -> None:
        self._navigator, self._tick_s = navigator, tick_s
        self.doubted = 0
        """Observations that were not mapped, because their pose or depth is not believed."""

    def act(
        self, observation: Observation, detections: Sequence[Detection], goal: Goal | None
    ) -> Decision:
        """Take in an observation."""
        doubt = self._navigator.look_on(observation, detections)
        self.doubted += bool(doubt)
        action = Action(v_mps=0.0, w_radps=0.0, duration_s=self._tick_s, source="none")
        return Decision(action=action, mode=Mode.IDLE, reason=doubt or "somebody else drives")

    def note_surprise(self, surprise: float) -> None:
        """Take in how surprising the next observation is."""
        self._navigator.note_surprise(surprise)

    def note_applied(self, action: Action) -> None:
        """Take in what was driven."""
        self._navigator.note_applied(action)

    def use_model(self, model: LatentModel | None) -> None:
        """Swap the model of the navigator."""
        self._navigator.use_model(model)

    def reset(self, *, keep_map: bool = True) -> None:
        """Forget what is in hand."""
        self._navigator.reset(keep_map=keep_map)


class Unchecked:
    """Safety of a drive that is over: nothing is held back any more."""

    interventions = 0

    def clip(self, action: Action, observation: Observation) -> Action:
        """Return the action."""
        return action
