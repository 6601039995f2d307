"""Call the winner early, and call it a day on time: earlycall reads loss curves.

It ranks training runs from the first few percent of their loss curves and measures how far such
rankings can be trusted. Start with `read` and `rank`.

Names are loaded when they are first used, so that ``import earlycall`` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from earlycall.approximation import Fit, Fits, fit, fit_many
    from earlycall.curves import Curve, CurveSet, Prefixes, Ragged
    from earlycall.elasticity import Elasticity, elasticities
    from earlycall.energy import Energy, energy_used, measure, with_energy
    from earlycall.errors import CurveWarning, InputError
    from earlycall.evaluation import Agreement, Evaluation, agreement, evaluate
    from earlycall.following import Follower
    from earlycall.intervals import Uncertainty, uncertainty
    from earlycall.ranking import Ranking, rank
    from earlycall.readers import read
    from earlycall.scores import Score, Scored, group_score, score
    from earlycall.stopping import Monitor, Rule, parse_rule
    from earlycall.stopping.replay import Replay, replay
    from earlycall.streaming import StreamingFit

__version__ = "0.2.0"

_HOMES = {
    "Agreement": "evaluation",
    "Curve": "curves",
    "CurveSet": "curves",
    "CurveWarning": "errors",
    "Elasticity": "elasticity",
    "Energy": "energy",
    "Evaluation": "evaluation",
    "Fit": "approximation",
    "Fits": "approximation",
    "Follower": "following",
    "InputError": "errors",
    "Monitor": "stopping",
    "Prefixes": "curves",
    "Ragged": "curves",
    "Ranking": "ranking",
    "Replay": "stopping.replay",
    "Rule": "stopping",
    "Score": "scores",
    "Scored": "scores",
    "StreamingFit": "streaming",
    "Uncertainty": "intervals",
    "agreement": "evaluation",
    "elasticities": "elasticity",
    "energy_used": "energy",
    "evaluate": "evaluation",
    "fit": "approximation",
    "fit_many": "approximation",
    "group_score": "scores",
    "measure": "energy",
    "parse_rule": "stopping",
    "rank": "ranking",
    "read": "readers",
    "replay": "stopping.replay",
    "score": "scores",
    "uncertainty": "intervals",
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
