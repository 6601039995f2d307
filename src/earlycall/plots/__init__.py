"""Figures, by plotly: one function and one file each, for notebooks, pages and papers.

Each takes ``theme="light"`` or ``"dark"`` and gives a plotly figure; `write` makes a page or a
picture of it. Names of runs are shown as text, whatever they hold.
"""

from earlycall.plots.agreement_map import agreement_map
from earlycall.plots.agreement_scatter import agreement_scatter
from earlycall.plots.cost_against_regret import cost_against_regret
from earlycall.plots.curves import curves
from earlycall.plots.early_agreement import early_agreement
from earlycall.plots.elasticity import elasticity
from earlycall.plots.elasticity_along import elasticity_along
from earlycall.plots.energy import energy
from earlycall.plots.fit import fit
from earlycall.plots.importance import importance
from earlycall.plots.ranking import ranking
from earlycall.plots.theme import Theme
from earlycall.plots.write import write

__all__ = [
    "Theme", "agreement_map", "agreement_scatter", "cost_against_regret", "curves",
    "early_agreement", "elasticity", "elasticity_along", "energy", "fit",
    "importance", "ranking", "write",
]  # fmt: skip
