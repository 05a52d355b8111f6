"""Measures a candidate next to the incumbent and the anchor, and asks the gate."""

from dataclasses import dataclass

from learners.checkpoint import not_finite
from learners.config import GateConfig
from learners.cost import cost_ratio
from learners.gate import judge, refused
from learners.manifest import Check, Verdict
from learners.plasticity import Activity, watch_units
from learners.pose_graph import PoseGraph
from learners.probes import ProbeData, ProbeResult, probe
from learners.recipes.model import ComposedModel
from learners.update import NotFiniteError


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was measured.

    Attributes:
        verdict: What the gate made of it.
        candidate: Probes of the candidate, None if its weights are not finite.
        incumbent: Probes of the incumbent, None if there is none.
        activity: Of the candidate's units during the probes.
    """

    verdict: Verdict
    candidate: ProbeResult | None = None
    incumbent: ProbeResult | None = None
    activity: Activity | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Jury:
    """Judges candidates on one set of windows.

    Attributes:
        data: Windows that no model was trained on.
        graph: Knows the steps between their poses.
        config: Thresholds.
        seed: Draws slices, pairs and the bootstrap.
    """

    data: ProbeData
    graph: PoseGraph
    config: GateConfig
    seed: int

    def judge(
        self,
        model: ComposedModel,
        incumbent: ComposedModel | None = None,
        anchor: ComposedModel | None = None,
    ) -> Findings:
        """Return the findings on a candidate.

        Args:
            model: The candidate.
            incumbent: Model that acts, None if none does.
            anchor: Best model so far, None if it is the incumbent.
        """
        try:
            if odd := not_finite(model):
                raise NotFiniteError(f"the weights of {odd}")
            with watch_units(model) as activity:
                candidate = self._probe(model)
        except NotFiniteError as error:
            check = Check(stage="T0", name="finite", passed=False, reason=f"not finite: {error}")
            return Findings(verdict=refused(check, sane=False))
        acting = self._probe(incumbent) if incumbent is not None else None
        best = self._probe(anchor) if anchor is not None else None
        ratio = self._cost_ratio(model, incumbent) if incumbent is not None else None
        verdict = judge(candidate, acting, self.config, self.seed, anchor=best, cost_ratio=ratio)
        return Findings(verdict=verdict, candidate=candidate, incumbent=acting, activity=activity)

    def _probe(self, model: ComposedModel) -> ProbeResult:
        return probe(model, self.data, self.graph, self.seed)

    def _cost_ratio(self, model: ComposedModel, incumbent: ComposedModel) -> float:
        """Measure again before a candidate is called slow: a busy machine is no reason."""
        ratio = cost_ratio(model, incumbent, self.data.windows)
        if ratio > self.config.max_cost_ratio:
            ratio = min(ratio, cost_ratio(model, incumbent, self.data.windows))
        return ratio
