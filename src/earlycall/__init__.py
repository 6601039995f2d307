"""Call the winner early, and call it a day on time: earlycall reads loss curves.

It ranks training runs from the first few percent of their loss curves and measures how far such
rankings can be trusted. Start with `read` and `rank`.

Names are loaded when they are first used, so that ``import earlycall`` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from earlycall.approximation.fit import Fit, Fits, fit, fit_many
    from earlycall.approximation.streaming import StreamingFit
    from earlycall.approximation.uncertainty import Uncertainty, uncertainty
    from earlycall.curves import Curve, CurveSet, Prefixes, Ragged
    from earlycall.elasticity import Elasticity, elasticities
    from earlycall.energy import Energy, energy_used, with_energy
    from earlycall.energy.measure import measure
    from earlycall.errors import CurveWarning, InputError
    from earlycall.evaluation.agreement import Agreement, agreement
    from earlycall.evaluation.evaluate import Evaluation, evaluate
    from earlycall.ranking.rank import Ranking, rank
    from earlycall.readers import read
    from earlycall.readers.growing.follower import Follower
    from earlycall.scores import Score, Scored, group_score, score
    from earlycall.stopping import Monitor, Rule, parse_rule
    from earlycall.stopping.replay import Replay, replay

__version__ = "0.2.0"

_HOMES = {
    "Agreement": "evaluation.agreement",
    "Curve": "curves",
    "CurveSet": "curves",
    "CurveWarning": "errors",
    "Elasticity": "elasticity",
    "Energy": "energy",
    "Evaluation": "evaluation.evaluate",
    "Fit": "approximation.fit",
    "Fits": "approximation.fit",
    "Follower": "readers.growing.follower",
    "InputError": "errors",
    "Monitor": "stopping",
    "Prefixes": "curves",
    "Ragged": "curves",
    "Ranking": "ranking.rank",
    "Replay": "stopping.replay",
    "Rule": "stopping",
    "Score": "scores",
    "Scored": "scores",
    "StreamingFit": "approximation.streaming",
    "Uncertainty": "approximation.uncertainty",
    "agreement": "evaluation.agreement",
    "elasticities": "elasticity",
    "energy_used": "energy",
    "evaluate": "evaluation.evaluate",
    "fit": "approximation.fit",
    "fit_many": "approximation.fit",
    "group_score": "scores",
    "measure": "energy",
    "parse_rule": "stopping",
    "rank": "ranking.rank",
    "read": "readers",
    "replay": "stopping.replay",
    "score": "scores",
    "uncertainty": "approximation.uncertainty",
    "with_energy": "energy",
}
__all__ = [
    "Agreement", "Curve", "CurveSet", "CurveWarning", "Elasticity", "Energy", "Evaluation", "Fit",
    "Fits", "Follower", "InputError", "Monitor", "Prefixes", "Ragged", "Ranking", "Replay",
    "Rule", "Score", "Scored", "StreamingFit", "Uncertainty", "agreement", "elasticities",
    "energy_used", "evaluate", "fit", "fit_many", "group_score", "measure", "parse_rule", "rank",
    "read", "replay", "score", "uncertainty", "with_energy",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'earlycall' has no attribute {name!r}")
    value = getattr(import_module(f"earlycall.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
