"""One run: trained, recorded at every step, resumable after any epoch with the same losses."""

from __future__ import annotations

import io
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from earlycall.atomic import write_whole
from earlycall.errors import InputError
from earlycall.study.data import Images, Splits
from earlycall.study.models import build
from earlycall.study.plan import RunPlan

RESULT, CURVE, CHECKPOINT = "result.json", "curve.parquet", "checkpoint.pt"
EVALUATED_AT_ONCE = 512


@dataclass
class Record:
    """What a run has logged so far.

    Attributes:
        loss: the training loss of every optimiser step.
        lr: the learning rate of every step.
        val_loss: the validation loss after each epoch.
        val_accuracy: the validation accuracy after each epoch, from 0 to 1.
        seconds: since the start, after each epoch, over all sessions.
    """

    loss: list[float] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def epochs(self) -> int:
        """Epochs that are done."""
        return len(self.val_loss)

    @property
    def diverged(self) -> bool:
        """Whether the loss is no longer finite."""
        return bool(self.loss) and not math.isfinite(self.loss[-1])

    def frame(self) -> pl.DataFrame:
        """A row per step: ``step``, ``epoch``, ``train_loss``, ``lr``; more where epochs end."""
        steps = len(self.loss)
        per_epoch = -(-steps // max(self.epochs, 1))
        ends = [min((e + 1) * per_epoch, steps) for e in range(self.epochs)]
        frame = pl.DataFrame({
            "step": range(1, steps + 1), "epoch": [i // per_epoch for i in range(steps)],
            "train_loss": self.loss, "lr": self.lr,
        })  # fmt: skip
        at_ends = pl.DataFrame({
            "step": ends, "val_loss": self.val_loss, "val_accuracy": self.val_accuracy,
            "seconds": self.seconds,
        }, schema_overrides={"step": pl.Int64})  # fmt: skip
        return frame.join(at_ends, on="step", how="left", maintain_order="left")


def train(
    plan: RunPlan,
    data: Splits,
    folder: Path,
    *,
    device: str = "cpu",
    after_epoch: Callable[[Record], bool] | None = None,
) -> dict[str, Any]:
    """Train a run to its end, from its last checkpoint where there is one.

    Every random number comes from the plan's seed and the epoch's number, so that on a CPU a
    resumed run has the same losses as one that was never disturbed.

    Args:
        plan: what to train.
        data: on what.
        folder: where the run's files go: ``checkpoint.pt`` while it runs, at the end
            ``curve.parquet`` (see `Record.frame`) and ``result.json``.
        device: ``cpu``, ``cuda``, ``mps`` …; mixed precision where it helps (CUDA).
        after_epoch: called after each epoch; training ends early where it says True.

    Returns:
        What ``result.json`` holds: the outcome, costs and the plan.

    Raises:
        InputError: if the model cannot be built or does not fit the images.
    """
    done = finished(plan, folder)
    if done is not None:
        return done
    folder.mkdir(parents=True, exist_ok=True)
    run = _Run(plan, data, device)
    run.restore(folder / CHECKPOINT)
    while run.record.epochs < plan.epochs and not run.record.diverged:
        run.epoch()
        write_whole(folder / CHECKPOINT, run.saved())
        if after_epoch is not None and after_epoch(run.record):
            break
    result = run.result()
    table = io.BytesIO()
    run.record.frame().write_parquet(table)
    write_whole(folder / CURVE, table.getvalue())
    write_whole(folder / RESULT, json.dumps(result))
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return result


def finished(plan: RunPlan, folder: Path) -> dict[str, Any] | None:
    """The result of a run that is done, None of one that is not.

    Raises:
        InputError: if the folder holds a run of the same name that was planned differently.
    """
    path = folder / RESULT
    if not path.exists():
        return None
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if result["fingerprint"] != plan.fingerprint:
        raise InputError(
            f"{folder}: holds a run called {plan.name!r} that was planned differently; rename the "
            "architecture or setting, or use another folder"
        )
    return result


class _Run:
    """The moving parts of a run."""

    def __init__(self, plan: RunPlan, data: Splits, device: str) -> None:
        self.plan, self.data, self.device = plan, data, torch.device(device)
        torch.manual_seed(plan.seed)
        self.model = build(
            plan.model,
            plan.arguments,
            in_chans=data.in_chans,
            num_classes=data.num_classes,
            image_size=data.image_size,
        ).to(self.device)
        self.flops = _flops(plan, self.model, data.train.x[:1].to(self.device))
        hyper = plan.hyper
        self.batch = int(hyper["batch_size"])
        self.steps = -(-len(data.train) // self.batch)
        self.optimizer = _optimizer(hyper, self.model)
        self.criterion = nn.CrossEntropyLoss(label_smoothing=hyper["label_smoothing"])
        self.mixed = self.device.type == "cuda"
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.mixed)
        self.record = Record()

    def epoch(self) -> None:
        """Train for an epoch and look at the validation part."""
        start = time.perf_counter()
        number = self.record.epochs
        seed = self.plan.seed * 1_000_003 + number + 1
        torch.manual_seed(seed)  # for dropout and the like
        order = torch.randperm(len(self.data.train), generator=torch.Generator().manual_seed(seed))
        noise = torch.Generator().manual_seed(seed + 500_000)
        self.model.train()
        for i in range(self.steps):
            rows = order[i * self.batch : (i + 1) * self.batch]
            if len(rows) == 1:  # batch normalisation needs two
                rows = torch.cat([rows, order[:1]])
            x, y = self.data.train.x[rows], self.data.train.y[rows]
            if self.plan.hyper["augment"]:
                x = _augmented(x, noise)
            self._step(x.to(self.device), y.to(self.device))
            if self.record.diverged:
                break
        loss, accuracy = self._judge(self.data.val)
        before = self.record.seconds[-1] if self.record.seconds else 0.0
        self.record.val_loss.append(loss)
        self.record.val_accuracy.append(accuracy)
        self.record.seconds.append(before + time.perf_counter() - start)

    def _step(self, x: torch.Tensor, y: torch.Tensor) -> None:
        lr = learning_rate(self.plan, len(self.record.loss), self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        with torch.autocast(self.device.type, enabled=self.mixed):
            out = self.model(x)
            # GoogLeNet and Inception return auxiliary outputs too while training
            loss = self.criterion(out if torch.is_tensor(out) else out[0], y)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.record.loss.append(float(loss.detach()))
        self.record.lr.append(lr)

    @torch.no_grad()
    def _judge(self, part: Images) -> tuple[float, float]:
        """Mean cross-entropy and accuracy."""
        self.model.eval()
        loss, right = 0.0, 0
        for start in range(0, len(part), EVALUATED_AT_ONCE):
            x = part.x[start : start + EVALUATED_AT_ONCE].to(self.device)
            y = part.y[start : start + EVALUATED_AT_ONCE].to(self.device)
            out = self.model(x).float()
            loss += float(nn.functional.cross_entropy(out, y, reduction="sum"))
            right += int((out.argmax(1) == y).sum())
        return loss / len(part), right / len(part)

    def saved(self) -> bytes:
        """All that is needed to go on."""
        content = io.BytesIO()
        torch.save(
            {
                "fingerprint": self.plan.fingerprint,
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict(),
                "record": asdict(self.record),
            },
            content,
        )
        return content.getvalue()

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint, if there is one of this very run."""
        if not path.exists():
            return
        saved = torch.load(path, map_location=self.device, weights_only=True)
        if saved["fingerprint"] != self.plan.fingerprint:
            raise InputError(
                f"{path}: of a run called {self.plan.name!r} that was planned differently; rename "
                "the architecture or setting, or use another folder"
            )
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.scaler.load_state_dict(saved["scaler"])
        self.record = Record(**saved["record"])

    def result(self) -> dict[str, Any]:
        """The outcome, looked at once, with the costs and the plan."""
        loss, accuracy = self._judge(self.data.test)
        record, plan = self.record, self.plan
        return {
            "run": plan.name,
            "fingerprint": plan.fingerprint,
            "architecture": plan.architecture,
            "setting": plan.setting,
            "seed": plan.seed,
            "model": plan.model,
            "hyper": plan.hyper,
            "test_accuracy": accuracy,
            "test_loss": loss if math.isfinite(loss) else None,
            "best_val_accuracy": max(record.val_accuracy),
            "epochs": record.epochs,
            "planned_steps": plan.epochs * self.steps,
            "diverged": record.diverged,
            "seconds": record.seconds[-1],
            "params": sum(p.numel() for p in self.model.parameters()),
            "flops": self.flops,
        }


def learning_rate(plan: RunPlan, step: int, steps: int) -> float:
    """The learning rate of an optimiser step, counted from 0, with so many steps an epoch.

    Linear warm-up, then constant, cosine to 0 (Loshchilov & Hutter 2017), a tenth after half and
    again after three quarters (step), linear to 0, or one cycle (Smith 2018): up for 30 %, down.
    """
    hyper, whole, warm = plan.hyper, plan.epochs * steps, plan.hyper["warmup_epochs"] * steps
    lr = float(hyper["lr"])
    if step < warm:
        return float(lr * (step + 1) / warm)
    part = (step - warm) / max(whole - warm, 1)
    return float(lr * SHARES[hyper["schedule"]](part))


def _cosine(part: float) -> float:
    return (1 + math.cos(math.pi * part)) / 2


def _one_cycle(part: float, up: float = 0.3) -> float:
    return (1 + 24 * part / up) / 25 if part < up else _cosine((part - up) / (1 - up))


SHARES: dict[str, Callable[[float], float]] = {  # of the learning rate, by the part that is done
    "constant": lambda part: 1.0,
    "cosine": _cosine,
    "step": lambda part: 0.01 if part >= 0.75 else 0.1 if part >= 0.5 else 1.0,
    "linear": lambda part: 1 - part,
    "onecycle": _one_cycle,
}


def _optimizer(hyper: dict[str, Any], model: nn.Module) -> torch.optim.Optimizer:
    lr, decay, momentum = float(hyper["lr"]), float(hyper["weight_decay"]), hyper["momentum"]
    match hyper["optimizer"]:
        case "sgd":
            return torch.optim.SGD(model.parameters(), lr, momentum=momentum, weight_decay=decay)
        case "adam":
            return torch.optim.Adam(model.parameters(), lr, weight_decay=decay)
        case "adamw":
            return torch.optim.AdamW(model.parameters(), lr, weight_decay=decay)
    return torch.optim.RMSprop(model.parameters(), lr, momentum=momentum, weight_decay=decay)


def _augmented(x: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
    """Each image flipped by chance, and shifted by up to two pixels."""
    flip = torch.rand(len(x), generator=noise) < 0.5
    x = torch.where(flip[:, None, None, None], x.flip(3), x)
    padded = nn.functional.pad(x, (2, 2, 2, 2), mode="replicate")
    down, right = torch.randint(0, 5, (2, len(x)), generator=noise)
    size = torch.arange(x.shape[2])
    rows = (down[:, None] + size)[:, None, :, None]
    columns = (right[:, None] + size)[:, None, None, :]
    image = torch.arange(len(x))[:, None, None, None]
    channel = torch.arange(x.shape[1])[None, :, None, None]
    return padded[image, channel, rows, columns]


def _flops(plan: RunPlan, model: nn.Module, x: torch.Tensor) -> int:
    """Floating-point operations of one image forward, counted by torch."""
    model.eval()
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(x)
    except (RuntimeError, AssertionError, ValueError, TypeError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"model {plan.model!r} does not take images of shape {tuple(x.shape)}: {said}"
        ) from None
    return int(counter.get_total_flops())
