"""What a column means, told by the whole words of its name: its role and its direction.

A name is split into words at everything that is no letter or digit, at changes of case, and between
letters and digits: ``metrics/mAP50-95(B)`` is *metrics m AP 50 95 B*. Words are looked up whole,
never as substrings; ``mAP``, ``f1`` and ``win_rate`` are found again because neighbouring words are
also tried together. A name in none of the lists below, or in both, has no known direction: it is
asked for, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from typing import Literal, get_args

from earlycall.errors import UnknownDirectionError

Axis = Literal["observation", "step", "epoch", "seconds", "joules", "usd"]
AXES: tuple[Axis, ...] = get_args(Axis)
COSTS = ("seconds", "joules", "usd")
KEYS = ("group", "run", "run_id", "step", "epoch", *COSTS)
CALL_COUNTERS = ("training_iteration", "_step")  # a tracker's count of calls: the last resort
CLOCKS = ("timestamp", "_timestamp", "wall_time", "walltime", "time", "unix_time", "epoch_time")

Direction = Literal["min", "max"]
Role = Literal[
    "step", "epoch", "clock", "training loss", "validation loss", "metric", "setting"
]  # fmt: skip

# By their words, of which the first that is there counts: the optimiser's steps before the
# environment's, and those before tokens.
_STEP_COUNTERS = (
    "step", "steps", "global_step", "global_steps", "trainer_global_step", "train_global_step",
    "optimizer_step", "optimizer_steps", "train_step", "train_steps", "training_step",
    "current_step",
    "current_steps", "iter", "iters", "iteration", "iterations", "train_iter", "global_iter",
    "iter_num", "num_iter", "iter_no", "num_steps", "n_iter", "step_num",
    "time_total_timesteps", "total_timesteps", "timesteps_total", "num_timesteps", "timesteps",
    "num_env_steps", "env_steps", "env_step", "num_env_steps_sampled_lifetime", "total_env_steps",
    "frames", "num_frames", "total_frames", "num_updates", "n_updates", "update", "updates",
    "samples_seen", "num_samples", "samples",
    "tokens", "num_tokens", "total_tokens", "tokens_seen", "train_tokens", "consumed_tokens",
    "num_input_tokens_seen", "consumed_train_samples",
)  # fmt: skip

# Other names that are made of what is counted, in this order, and of words that say no more of it.
_STEP_WORDS = (
    "step", "steps", "iter", "iters", "iteration", "iterations", "itr", "itrs", "it", "timestep",
    "timesteps",
)  # fmt: skip
_UNITS = (
    *_STEP_WORDS, "update", "updates", "interactions", "interacts", "frames", "samples",
    "examples", "images", "sequences", "tokens", "batch", "batches", "kimg", "tick", "round",
    "rounds", "generation", "generations", "episode", "episodes",
)  # fmt: skip
_OF_A_COUNT = frozenset({
    "n", "no", "num", "number", "i", "idx", "index", "count", "total", "overall", "global",
    "current", "cur", "curr", "cumulative", "seen", "so", "far", "done", "taken", "consumed",
    "processed", "sampled", "lifetime", "train", "training", "trainer", "trained", "opt",
    "optimizer", "grad", "gradient", "learner", "agent", "env", "environment", "input", "server",
    "communication", "boosting", "progress",
})  # fmt: skip

# The finest first: losses of single steps tell more than means of epochs.
_TRAINING = (
    "train_loss", "train_loss_step", "train_step_loss", "training_loss", "loss", "loss_train",
    "loss_training", "train_loss_epoch", "train_epoch_loss", "epoch_loss", "batch_loss",
    "total_loss", "train_total_loss", "loss_total", "train_loss_total", "loss_sum", "sum_loss",
)  # fmt: skip
_VALIDATION = (
    "val_loss", "valid_loss", "validation_loss", "eval_loss", "loss_val", "loss_valid",
    "loss_validation", "loss_eval", "val_loss_epoch", "val_epoch_loss", "dev_loss",
)  # fmt: skip
_VALIDATION_WORDS = frozenset({"val", "valid", "validation", "eval", "evaluation", "dev"})
_TEST_WORDS = frozenset({"test", "testing", "holdout", "heldout"})
_TRAIN_WORDS = frozenset({"train", "training"})
SPLIT_WORDS = _TRAIN_WORDS | _VALIDATION_WORDS | _TEST_WORDS
_LOSS_WORDS = frozenset({"loss", "losses"})
_WRAPPERS = re.compile(r"^(metrics|scalars|log|logs|losses)_")
SETTINGS_PREFIXES = ("hp.", "arch.", "tag.")  # of the columns of `CurveSet.runs` that are settings
_RATE = re.compile(r"(^|_)(lr|learning_rate)(_|$)")
_SETTING_NAMES = re.compile(r"(^|_)(momentum|weight_decay|batch_size)(_|$)")

# Less is better, by field. Entries of several words are phrases, which may be written as one.
_LESS = """
    losses and errors: loss, losses, error, errors, err, nll, neg log likelihood, negative log
        likelihood, ce, bce, xent, cross entropy, log loss, mlogloss, merror, mse, mae, rmse, nmse,
        nrmse, msle, rmsle, mape, smape, mase, medae, sse, rss, huber, hinge, pinball, crps, brier,
        deviance, penalty, misclassified, misclassification, neg elbo, kld, mmd, ece, mce, eer, fpr,
        fnr, regret, false positive rate, false negative rate, false alarm rate, miss rate, failure
        rate, collision rate, hamming, ber, log cosh, nloglik
    vision: fid, kid, lpips, niqe, brisque, piqe, epe, abs rel, sq rel, silog, nme, hausdorff, hd
        95, assd, asd, chamfer, wasserstein, frechet, mpjpe, mpvpe, fvd, inception distance,
        perceptual image patch similarity, ade, fde, min ade, min fde, mate, maoe, mave, maae
    language and speech: perplexity, ppl, bpc, bpb, bpd, bpw, bits per byte, bits per char, bits per
        character, bits per dim, bits per word, wer, cer, mer, wil, ler, der, jer, tder, pier, ter,
        mcd, edit distance, levenshtein, word error rate, fad, dcf, min dcf
    ranking: mean rank, median rank
"""
# More is better.
_MORE = """
    classification and regression: acc, accs, accuracy, accuracies, correct, auc, aucs, auroc,
        auprc, aucpr, aucroc, prauc, rocauc, gauc, precision, prec, recall, specificity,
        sensitivity, tpr, tnr, ppv, npv, true positive rate, true negative rate, f 1, f 2, f 0 5, f
        beta, f score, f measure, mcc, matthews, kappa, qwk, youden, gini, ks statistic, r 2, r
        squared, pearson, pearsonr, spearman, spearmanr, kendall, kendalltau, corr coef, ccc, plcc,
        srcc, srocc, krcc, concordance, c index, explained variance, log likelihood, elbo,
        silhouette, nmi, ari, purity, lift, acc norm, ents f, ents p, ents r, detection rate,
        success rate, win rate, pass rate, hit rate, hit ratio, success, solved
    vision: ap, map, ap s, ap m, ap l, ap r, ap c, ap f, ar, mar, iou, io u, miou, fwiou, giou,
        dice, mean dice, dice coef, dice coeff, dsc, jaccard, pq, panoptic quality, psnr, ssim, ms
        ssim, structural similarity, vif, fsim, inception score, clip score, aesthetic score, mota,
        motp, hota, idf 1, pck, pckh, oks, nds, nsd
    language and speech: bleu, sacrebleu, gleu, chrf, meteor, rouge, rougel, rougelsum, cider,
        spice, bert score, comet, bleurt, moverscore, em, exact match, exact, mmlu, hellaswag, gsm 8
        k, humaneval, mbpp, winogrande, boolq, piqa, truthfulqa, pass 1, pass 5, pass 10, pass 100,
        pass k, uas, las, pesq, stoi, estoi, sdr, si sdr, si sdri, si snr, si snri, snr, seg snr,
        sdr improvement, si sdr improvement, signal noise ratio, signal distortion ratio, scale
        invariant signal noise ratio, scale invariant signal distortion ratio, mos, dnsmos, nisqa,
        utmos, signal to noise ratio
    reinforcement learning: reward, rewards, rew, return, returns, elo, trueskill, normalized score,
        normalised score, ep ret, episode ret, battle won
    recommendation and search: ndcg, dcg, mrr, arhr, hits, hit, hr 1, hr 5, hr 10, hr 20, hr 50, hr
        100, novelty, serendipity, ctr, cvr
"""
# These name the metric only where no other word of the name does.
_LESS_ALONE = "per, l 1, l 2"  # at the end only: not "images per second"
_MORE_ALONE = "top 1, top 3, top 5, top 10, top k, r 1, r 5, r 10"
# What is measured of a metric, or beside it, unless the name ends in a loss; what turns it round.
_NO_METRIC = frozenset({
    "std", "stdev", "stderr", "sem", "var", "variance", "norm", "grad", "gradient", "scale",
    "weight", "coef", "coeff", "threshold", "thresh", "ratio", "time", "seconds", "entropy", "kl",
    "clipfrac", "lr",
})  # fmt: skip
_TURNED = frozenset({
    "neg", "negative", "minus", "inv", "inverse", "non", "rejected", "delta", "diff", "difference",
    "gap", "change", "drop", "reduction", "improvement",
})  # fmt: skip
_ONE_MINUS = re.compile(r"(^|/)\s*1\s*[-−]\s*[^\W\d]")
# scikit-learn's scorers: errors turned round (and D²), so that more is better.
_NEGATED = re.compile(r"(^|_)(neg_(mean|median|root|max|log_loss|brier)|d_2_\w+_score)_")
_HEADS = frozenset({"loss", "losses", "error", "errors", "err"})
_QUALIFIERS = frozenset({
    "train", "training", "mean", "avg", "average", "ema", "step", "epoch", "batch", "best", "min",
    "max", "last", "final", "total", "sum", "all", "per", "token", "rate",
}) | _VALIDATION_WORDS | _TEST_WORDS  # fmt: skip
_MAX_WORDS = 5  # words that are tried together


def _table(listed: str, way: Direction) -> dict[str, tuple[Direction, bool]]:
    """How an entry looks when its words are joined, its direction, and whether it is a phrase."""
    entries = (entry.split() for entry in re.sub(r"[^\n:]+:", ",", listed).split(","))
    return {"".join(entry): (way, len(entry) > 1) for entry in entries if entry}


_COUNTER_PLACES = {name: place for place, name in enumerate((*_STEP_COUNTERS, *_UNITS))}
_STRONG = _table(_LESS, "min") | _table(_MORE, "max")
_ALONE = _table(_LESS_ALONE, "min") | _table(_MORE_ALONE, "max")

_WORD = re.compile(r"[^\W\d_]+|\d+")
_CASE = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^A-Z]+|[A-Z]+")


def words(name: str) -> list[str]:
    """The words of a name in small letters, digits apart.

    Examples:
        >>> words("metrics/mAP50-95(B)"), words("encoder2_nll"), words("valLoss")
        (['metrics', 'm', 'ap', '50', '95', 'b'], ['encoder', '2', 'nll'], ['val', 'loss'])
    """
    return [word for part in _parts(name) for word in part]


def _parts(name: str) -> Iterator[list[str]]:
    """The words of each part of a name between separators."""
    for part in re.findall(r"[^\W_]+", name):
        yield [w.lower() for run in _WORD.findall(part) for w in _CASE.findall(run)]


@lru_cache(maxsize=4096)
def plain(name: str) -> str:
    """The words of a name joined by underscores, without what wraps them.

    Examples:
        >>> plain("Train/Loss"), plain("metrics/val-loss"), plain("train.loss")
        ('train_loss', 'val_loss', 'train_loss')
    """
    return _WRAPPERS.sub("", "_".join(words(name)))


@lru_cache(maxsize=4096)
def role(name: str) -> Role:
    """What a column of a log is.

    Examples:
        >>> [role(name) for name in ("iter", "val/loss", "train_loss", "test_loss", "lr")]
        ['step', 'validation loss', 'training loss', 'metric', 'setting']
    """
    if is_step_counter(name):
        return "step"
    if is_epoch(name):
        return "epoch"
    if name in ("seconds", *CLOCKS):
        return "clock"
    if (
        name.startswith(SETTINGS_PREFIXES)
        or is_learning_rate(name)
        or _SETTING_NAMES.search(plain(name))
    ):
        return "setting"
    mine = set(words(name))
    if not mine & _LOSS_WORDS or mine & _TEST_WORDS:
        return "metric"
    return "validation loss" if mine & _VALIDATION_WORDS else "training loss"


def is_step_counter(name: str) -> bool:
    """Whether a column counts steps, by all words of its name.

    Examples:
        >>> names = ("trainer/global_step", "_step", "consumed_samples", "step_time")
        >>> [is_step_counter(name) for name in names]
        [True, True, True, False]
    """
    return name in CALL_COUNTERS or _counter_place(name) is not None


@lru_cache(maxsize=4096)
def _counter_place(name: str) -> int | None:
    """How early a column is looked at of those that count steps; None where it counts none."""
    if (place := _COUNTER_PLACES.get(plain(name))) is not None:
        return place
    units = [word for word in words(name) if word not in _OF_A_COUNT]
    of_it = len(units) == 1 and units[0] in _UNITS
    return len(_STEP_COUNTERS) + _UNITS.index(units[0]) if of_it else None


def is_named_step(name: str) -> bool:
    """Whether a counter is called by steps, rather than by what is trained on or by rounds.

    Examples:
        >>> is_named_step("global_step"), is_named_step("tokens")
        (True, False)
    """
    return not set(_STEP_WORDS).isdisjoint(words(name))


def is_epoch(name: str) -> bool:
    """Whether a column counts epochs.

    Examples:
        >>> [is_epoch(name) for name in ("epoch", "Epoch", "train/epoch", "epoch_time")]
        [True, True, True, False]
    """
    return plain(name) in ("epoch", "train_epoch", "training_epoch", "current_epoch")


def step_counters(names: Sequence[str]) -> list[str]:
    """The columns that count steps, the one to go by first.

    Examples:
        >>> step_counters(["_step", "loss", "tokens", "Iter"])
        ['Iter', 'tokens', '_step']
    """
    own = sorted(
        (n for n in names if n not in CALL_COUNTERS and _counter_place(n) is not None),
        key=lambda n: (n != "step", _counter_place(n)),
    )
    return own + [n for n in CALL_COUNTERS if n in names]


def is_learning_rate(name: str) -> bool:
    """Whether a column is a learning rate.

    Examples:
        >>> is_learning_rate("lr-Adam/pg1"), is_learning_rate("ctrlr")
        (True, False)
    """
    return bool(_RATE.search(plain(name)))


def is_validation(name: str) -> bool:
    """Whether a metric was measured on validation data.

    Examples:
        >>> is_validation("dev_loss"), is_validation("Loss/val"), is_validation("interval_loss")
        (True, True, False)
    """
    return bool(_VALIDATION_WORDS.intersection(words(name)))


def split_of(names: Collection[str]) -> Literal["train", "val", "test"] | None:
    """The part of the data that words speak of, None of none or of several.

    Examples:
        >>> split_of(words("train_log")), split_of(words("Valid")), split_of(words("run3"))
        ('train', 'val', None)
    """
    known: dict[Literal["train", "val", "test"], frozenset[str]] = {
        "train": _TRAIN_WORDS, "val": _VALIDATION_WORDS, "test": _TEST_WORDS
    }  # fmt: skip
    found = [split for split, of_it in known.items() if of_it.intersection(names)]
    return found[0] if len(found) == 1 else None


def is_held_out(name: str) -> bool:
    """Whether a metric was measured on data that were not trained on: validation or test."""
    return bool((_VALIDATION_WORDS | _TEST_WORDS).intersection(words(name)))


@lru_cache(maxsize=4096)
def direction(name: str) -> Direction | None:
    """Whether less ("min") or more ("max") of a metric is better; None where its name is no clue.

    Where a compound ends in *loss* or *error*, the words before it say of what: ``dice_loss`` is a
    loss. All other names with words of both lists are unknown.

    Examples:
        >>> direction("val/mAP50-95(B)"), direction("encoder2_nll"), direction("ndcg@10")
        ('max', 'min', 'max')
        >>> direction("zeta"), direction("loss_iou"), direction("dice_loss")
        (None, None, 'min')
    """
    if _NEGATED.search(f"{plain(name)}_"):
        return "max"
    found, left = _looked_up(name, _STRONG)
    if not found:
        found, left = _looked_up(name, _ALONE)
        if found and found[-1][1] == "min" and not "".join(words(name)).endswith(found[-1][0]):
            return None
    ending = [w for w in words(name) if w not in _QUALIFIERS and not w.isdigit()][-1:]
    is_loss = not _HEADS.isdisjoint(ending)
    if _TURNED.intersection(left) or _ONE_MINUS.search(name):
        return None
    if not is_loss and (_NO_METRIC.intersection(left) or is_learning_rate(name)):
        return None
    ways = {way for _, way in found}
    if len(ways) == 1:
        return ways.pop()
    return "min" if ways and is_loss else None


def known_direction(metric: str) -> Direction:
    """The direction of a metric by its name.

    Raises:
        UnknownDirectionError: if its name does not tell it; the sentence says how to give it.

    Examples:
        >>> known_direction("val_accuracy")
        'max'
    """
    found = direction(metric)
    if found is None:
        raise UnknownDirectionError(metric)
    return found


def _looked_up(
    name: str, table: dict[str, tuple[Direction, bool]]
) -> tuple[list[tuple[str, Direction]], list[str]]:
    """The entries found in a name, the longest first at each place, and the words left over."""
    placed = [(word, i) for i, part in enumerate(_parts(name)) for word in part]
    found: list[tuple[str, Direction]] = []
    left = []
    at = 0
    while at < len(placed):
        for n in range(min(_MAX_WORDS, len(placed) - at), 0, -1):
            together = placed[at : at + n]
            key = "".join(word for word, _ in together)
            within = together[0][1] == together[-1][1]  # one part between separators
            if key in table and (table[key][1] or within):
                found.append((key, table[key][0]))
                at += n
                break
        else:
            left.append(placed[at][0])
            at += 1
    return found, left


def training_loss(metrics: Sequence[str]) -> tuple[str | None, list[str]]:
    """The metric that is the training loss, and the candidates among which it was looked for.

    Args:
        metrics: the names in a log.

    Returns:
        The name, None where none or several could be meant; and all losses that could be.

    Examples:
        >>> training_loss(["Loss/train", "Loss/val", "lr"])[0]
        'Loss/train'
        >>> training_loss(["train/box_loss", "train/cls_loss", "val/cls_loss"])
        (None, ['train/box_loss', 'train/cls_loss'])
    """
    found = _by_name(metrics, _TRAINING)
    if not found:
        losses = [m for m in metrics if _LOSS_WORDS.intersection(words(m))]
        found = [m for m in losses if not is_held_out(m)] or losses
    return (found[0] if len(found) == 1 else None), found


def validation_loss(metrics: Sequence[str]) -> tuple[str | None, list[str]]:
    """The metric that is the validation loss, and the candidates, as `training_loss`.

    Examples:
        >>> validation_loss(["loss", "eval_loss"])[0], validation_loss(["loss", "test_loss"])[0]
        ('eval_loss', None)
        >>> validation_loss(["val/box_loss", "val/cls_loss"])
        (None, ['val/box_loss', 'val/cls_loss'])
    """
    found = _by_name(metrics, _VALIDATION)
    found = found or [m for m in metrics if role(m) == "validation loss"]
    return (found[0] if len(found) == 1 else None), found


def watched_loss(metrics: Sequence[str]) -> tuple[str | None, list[str]]:
    """The loss that says when to stop: the validation loss where there is one, else the training's.

    Returns:
        The name, None where none or several could be meant; and the candidates.

    Examples:
        >>> watched_loss(["loss", "dev_loss"])[0], watched_loss(["loss", "lr"])[0]
        ('dev_loss', 'loss')
    """
    found = validation_loss(metrics)
    return found if found[1] else training_loss(metrics)


def _by_name(metrics: Sequence[str], known: Sequence[str]) -> list[str]:
    """The metrics of the first known name that is there, one where it is written exactly so."""
    if known[0] in metrics:
        return [known[0]]
    by_name: dict[str, list[str]] = {}
    for metric in metrics:
        by_name.setdefault(plain(metric), []).append(metric)
    return next((by_name[name] for name in known if name in by_name), [])
