"""What a column means, by the whole words of its name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earlycall.curves.columns import (
    direction,
    known_direction,
    role,
    training_loss,
    validation_loss,
    watched_loss,
    words,
)
from earlycall.errors import InputError

MORE = """
metrics/mAP50-95(B) val_map AP50 coco/bbox_mAP_50 segm/AP AR@100 mIoU aAcc mDice Dice_coefficient
dice_coef PQ top1 top5_acc acc1 Acc@1 metrics/precision(B) auroc PRAUC val/R2 r2_score F1Score
f1_macro BinaryF1Score psnr SSIM inception_score idf1 MOTA PCK@0.2 sacreBLEU chrF rougeL
eval_rouge1 eval/rougeLsum METEOR CIDEr bertscore_f1 eval_exact_match em squad_f1
eval_matthews_correlation eval_spearmanr pass@1 mmlu si_sdr SI-SNRi pesq stoi episode_reward
rollout/ep_rew_mean charts/episodic_return eval/mean_reward success_rate win_rate
explained_variance human_normalized_score ndcg@10 hit_rate@10 HR@10 Recall@20 mrr MAP@5 gauc Hits@10
quadratic_kappa jaccard log_likelihood neg_mean_squared_error concordance_index elbo val_accuracy
mean_io_u d2_pinball_score d2_absolute_error_score bbox/APs AP-l ents_f EpRet meandice acc_norm,none
PearsonCorrCoef MulticlassMatthewsCorrCoef StructuralSimilarityIndexMeasure PeakSignalNoiseRatio
ScaleInvariantSignalDistortionRatio test_battle_won_mean si_sdr_improvement rewards/margins
"""
LESS = """
encoder2_nll layer2_nll previous_nll conf1_ce layer2_mse val_nll loss dev_loss train/box_loss
dice_loss IoULoss reward_loss NLLLoss val_ce WER test/cer per val_per eer FID50k LPIPS rmse abs_rel
bpc bits_per_byte eval_ppl perplexity logloss log_loss binary_logloss test-mlogloss top1_err err@1
error_rate val_error validation-rmse multi_error mae sMAPE hd95 epe td_error value_loss brier_score
ece mean_rank MCD der negative_log_likelihood cross_entropy hamming_loss mpjpe crps valid_l2 regret
loss_per_token policy_gradient_loss train/ent_coef_loss variance_loss miss_rate log_cosh minDCF
cox-nloglik KernelInceptionDistance LearnedPerceptualImagePatchSimilarity minADE_6 mATE max_error
"""
UNKNOWN = """
zeta lr lr2 ep_len_mean grad_norm score value metric images_per_second reward_std loss_scale
entropy approx_kl neg_loss loss_iou loss/accuracy win_loss_ratio steps_per_second clip_fraction
mapping lossless accumulate decoder concern discern
acc_stderr,none acc_gap delta_loss loss_improvement 1-accuracy eval/1-ssim attention_map_entropy
losses/entropy losses/approx_kl Loss/learning_rate rewards/rejected loss_time time_to_accuracy
coverage neg_iou non_score_reward
"""


@pytest.mark.parametrize("name", MORE.split())
def test_more_is_better(name):
    assert direction(name) == "max"


@pytest.mark.parametrize("name", LESS.split())
def test_less_is_better(name):
    assert direction(name) == "min"


@pytest.mark.parametrize("name", UNKNOWN.split())
def test_what_cannot_be_known_is_asked(name):
    assert direction(name) is None
    with pytest.raises(InputError, match="--maximize or --minimize"):
        known_direction(name)


@given(st.sampled_from(["acc", "loss", "map", "reward", "nll"]), st.text("jqxz", min_size=2))
def test_a_word_within_a_longer_word_is_none(word, more):
    assert direction(more + word) is None
    assert direction(word + more) is None
    assert direction(f"{more}_{word}") == direction(word)


@given(st.text(max_size=300))
def test_any_name_has_an_answer(name):
    assert direction(name) in ("min", "max", None)
    assert all(word == word.lower() and word for word in words(name))


@pytest.mark.parametrize(
    ("names", "training", "validation", "watched"),
    [
        (["loss", "dev_loss"], "loss", "dev_loss", "dev_loss"),
        (["Loss/train", "Loss/val"], "Loss/train", "Loss/val", "Loss/val"),
        (["trainLoss", "valLoss", "lr"], "trainLoss", "valLoss", "valLoss"),
        (["loss", "test_loss"], "loss", None, "loss"),
        (["interval_loss"], "interval_loss", None, "interval_loss"),
        (["train_loss", "val/box_loss", "val/cls_loss"], "train_loss", None, None),
        (["lossless", "acc"], None, None, None),
    ],
)
def test_which_loss_is_which(names, training, validation, watched):
    assert training_loss(names)[0] == training
    assert validation_loss(names)[0] == validation
    assert watched_loss(names)[0] == watched


def test_roles():
    named = {name: role(name) for name in ("global_step", "epoch", "seconds", "hp.lr", "lr-Adam")}
    assert list(named.values()) == ["step", "epoch", "clock", "setting", "setting"]
    assert role("val_accuracy") == "metric"
