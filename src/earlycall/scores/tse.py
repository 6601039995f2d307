"""Training Speed Estimation as scores: a smaller sum of training losses ranks higher."""

from __future__ import annotations

from earlycall.approximation.training_speed import epoch_means, tse, tse_e, tse_ema
from earlycall.curves import Prefixes
from earlycall.scores.registry import Scored, group_score


def _scored(prefixes: Prefixes, how: str) -> Scored:
    means = epoch_means(prefixes.loss, prefixes.epoch)
    result = {"tse": tse, "tse_e": tse_e, "tse_ema": tse_ema}[how](means)
    return Scored.smaller_is_better(result.value, score=result.score, sign=prefixes.sign)


@group_score("tse")
def tse_score(prefixes: Prefixes) -> Scored:
    """TSE, the sum of the epochs' mean training losses over the whole prefix.

    Raw: Σ_{t≤T} ℓ̄_t. Score: −raw. Source: Ru et al., NeurIPS 2021.
    """
    return _scored(prefixes, "tse")


@group_score("tse_e")
def tse_e_score(prefixes: Prefixes) -> Scored:
    """TSE-E, the mean training loss of the prefix's last epoch.

    Raw: ℓ̄_T. Score: −raw. Source: Ru et al., NeurIPS 2021, with E = 1.
    """
    return _scored(prefixes, "tse_e")


@group_score("tse_ema")
def tse_ema_score(prefixes: Prefixes) -> Scored:
    """TSE-EMA, the sum of mean training losses with weights that fade into the past.

    Raw: Σ_{t≤T} 0.9^(T−t) ℓ̄_t. Score: −raw. Source: Ru et al., NeurIPS 2021.
    """
    return _scored(prefixes, "tse_ema")
