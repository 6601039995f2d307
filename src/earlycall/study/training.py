"""One run: trained, recorded at every step, resumable after any epoch with the same losses."""

from __future__ import annotations

import io
import json
import math
import random
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from earlycall.energy import Meter
from earlycall.errors import InputError
from earlycall.extras import needed_for
from earlycall.readers.formats.study_folder import CURVE, RESULT
from earlycall.study.data import Part, Splits
from earlycall.study.files import (
    CHECKPOINT,
    VERDICT,
    Files,
    FolderFiles,
    finished_result,
    read_json,
    refuse_other_plan,
)
from earlycall.study.models import build, family, first_line
from earlycall.study.optimizers import learning_rate, optimizer
from earlycall.study.plan import RunPlan
from earlycall.study.record import Record

with needed_for("a study", "study"):
    import torch
    from torch import nn
    from torch.utils.flop_counter import FlopCounterMode

EVALUATION_BATCH = 512
_OF_PLAN = ("architecture", "setting", "seed", "model", "hyper")


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
        plan: the run.
        data: the data set.
        folder: the folder of the run's files: ``curve.parquet`` (see `Record.frame`) after each
            epoch, ``checkpoint.pt`` while it runs, ``result.json`` at the end.
        device: ``cpu``, ``cuda``, ``mps`` …; mixed precision where it helps (CUDA).
        after_epoch: called after each epoch; training ends early where it returns True.

    Returns:
        The content of ``result.json``: the outcome, costs and the plan.

    Raises:
        InputError: if the model cannot be built or does not fit the images.
    """
    files = FolderFiles(folder)
    result = finished_result(plan, files)
    if result is not None:
        return result
    training = Training(plan, data, files, device=device)
    while not training.done:
        training.epoch()
        if after_epoch is not None and after_epoch(training.record):
            break
    return training.finish()


class Training:
    """A run in training, an epoch at a time; it resumes from its last checkpoint.

    Args:
        plan: the run.
        data: the data set.
        files: the run's files.
        device: where to train.
        meter: measures the energy of each epoch, None to measure none.

    Raises:
        InputError: if the model cannot be built, does not fit the images, or the files are those
            of a run that was planned differently.
    """

    def __init__(
        self,
        plan: RunPlan,
        data: Splits,
        files: Files,
        *,
        device: str = "cpu",
        meter: Meter | None = None,
    ) -> None:
        self.plan, self.data, self.files = plan, data, files
        self.device, self.meter = torch.device(device), meter
        torch.manual_seed(plan.seed)
        self.model = build(plan.model, plan.arguments, **data.model_shape).to(self.device)
        self.flops = count_flops(plan.model, self.model, data, self.device)
        hyper = plan.hyper
        self.batch = int(hyper["batch_size"])
        self.steps = -(-len(data.train) // self.batch)
        self.optimizer = optimizer(hyper, self.model)
        self.criterion = nn.CrossEntropyLoss(label_smoothing=hyper["label_smoothing"])
        self.mixed = self.device.type == "cuda"
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.mixed)
        self.record = Record()
        self._restore()

    @property
    def done(self) -> bool:
        """Whether nothing is left to train: all epochs, a loss that is not finite, or a verdict."""
        complete = self.record.epochs >= self.plan.epochs
        return complete or self.record.diverged or self.files.read(VERDICT) is not None

    def epoch(self) -> None:
        """Train for an epoch, evaluate on the validation part, and save a checkpoint."""
        start, joules_before = time.perf_counter(), self._joules()
        seed = self.plan.seed * 1_000_003 + self.record.epochs + 1
        torch.manual_seed(seed)  # for dropout and the like
        random.seed(seed)  # for what a user's data set draws
        np.random.seed(seed % 2**32)  # noqa: NPY002
        order = torch.randperm(len(self.data.train), generator=torch.Generator().manual_seed(seed))
        noise = torch.Generator().manual_seed(seed + 500_000)
        batches = list(torch.split(order, self.batch))
        if len(batches[-1]) == 1:  # batch normalisation needs two
            batches[-1] = torch.cat([batches[-1], order[:1]])
        self.model.train()
        for images, labels in self.data.train.batches(batches):
            x = _augmented(images, noise) if self.plan.hyper["augment"] else images
            self._step(x.to(self.device), labels.to(self.device))
            if self.record.diverged:
                break
        loss, accuracy = self._evaluate(self.data.val)
        joules = self._joules()
        used = None if joules is None or joules_before is None else joules - joules_before
        self.record.add_epoch(loss, accuracy, time.perf_counter() - start, used)
        self.files.write(CHECKPOINT, self._checkpoint())
        self._write_curve()

    def _joules(self) -> float | None:
        return None if self.meter is None else self.meter.joules()

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
    def _evaluate(self, part: Part) -> tuple[float, float]:
        """Mean cross-entropy and accuracy."""
        self.model.eval()
        loss, correct = 0.0, 0
        for images, labels in part.batches(torch.split(torch.arange(len(part)), EVALUATION_BATCH)):
            y = labels.to(self.device)
            out = self.model(images.to(self.device)).float()
            loss += float(nn.functional.cross_entropy(out, y, reduction="sum"))
            correct += int((out.argmax(1) == y).sum())
        return loss / len(part), correct / len(part)

    def _checkpoint(self) -> bytes:
        state = {
            "fingerprint": self.plan.fingerprint,
            "record": asdict(self.record),
            **{name: part.state_dict() for name, part in self._stateful().items()},
        }
        content = io.BytesIO()
        torch.save(state, content)
        return content.getvalue()

    def _stateful(self) -> dict[str, Any]:
        return {"model": self.model, "optimizer": self.optimizer, "scaler": self.scaler}

    def _restore(self) -> None:
        content = self.files.read(CHECKPOINT)
        if content is None:
            return
        saved = torch.load(io.BytesIO(content), map_location=self.device, weights_only=True)
        refuse_other_plan(self.plan, saved["fingerprint"])
        for name, part in self._stateful().items():
            part.load_state_dict(saved[name])
        self.record = Record(**saved["record"])

    def _write_curve(self) -> None:
        content = io.BytesIO()
        self.record.frame(self.steps).write_parquet(content)
        self.files.write(CURVE, content.getvalue())

    def finish(self) -> dict[str, Any]:
        """Evaluate on the test part and write the result."""
        loss, accuracy = self._evaluate(self.data.test)
        record, plan = self.record, self.plan
        verdict = read_json(self.files, VERDICT)
        result = {
            "run": plan.name,
            "fingerprint": plan.fingerprint,
            **{key: vars(plan)[key] for key in _OF_PLAN},
            "test_accuracy": accuracy,
            "test_loss": loss if math.isfinite(loss) else None,
            "best_val_accuracy": max(record.val_accuracy),
            "epochs": record.epochs,
            "planned_steps": plan.epochs * self.steps,
            "diverged": record.diverged,
            "stopped": None if verdict is None else verdict["why"],
            "seconds": record.seconds[-1],
            "joules": record.joules[-1] if record.joules else None,
            "joules_source": self.meter.source if self.meter and record.joules else None,
            "family": family(plan.model),
            "params": sum(p.numel() for p in self.model.parameters()),
            "flops": self.flops,
        }
        self._write_curve()
        self.files.write(RESULT, json.dumps(result).encode())
        self.files.remove(CHECKPOINT)
        return result


def _augmented(x: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
    """Each image flipped by chance, and shifted by up to two pixels."""
    flip = torch.rand(len(x), generator=noise) < 0.5
    x = torch.where(flip[:, None, None, None], x.flip(3), x)
    padded = nn.functional.pad(x, (2, 2, 2, 2), mode="replicate")
    down, right = torch.randint(0, 5, (2, len(x)), generator=noise)
    rows = (down[:, None] + torch.arange(x.shape[2]))[:, None, :, None]
    columns = (right[:, None] + torch.arange(x.shape[3]))[:, None, None, :]
    image = torch.arange(len(x))[:, None, None, None]
    channel = torch.arange(x.shape[1])[None, :, None, None]
    return padded[image, channel, rows, columns]


def count_flops(name: str, model: nn.Module, data: Splits, device: torch.device) -> int:
    """Floating-point operations of one image forward, counted by torch.

    Raises:
        InputError: if the model does not take the images, or gives something else than a value
            for each class.
    """
    model.eval()
    x, _ = next(iter(data.val.batches([torch.arange(1)])))
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            out = model(x.to(device))
    except (RuntimeError, AssertionError, ValueError, TypeError) as error:
        raise InputError(
            f"model {name!r} does not take images of shape {tuple(x.shape)}: {first_line(error)}"
        ) from None
    if not torch.is_tensor(out) or tuple(out.shape) != (1, data.num_classes):
        got = tuple(out.shape) if torch.is_tensor(out) else type(out).__name__
        raise InputError(
            f"model {name!r} gives {got} for one image; expected (1, {data.num_classes}), a value "
            "for each class"
        )
    return int(counter.get_total_flops())
