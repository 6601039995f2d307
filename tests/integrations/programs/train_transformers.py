"""Train a tiny language model with the Transformers trainer; kill itself if asked to."""

import json
import os
import signal
import sys
from pathlib import Path

import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_utils import get_last_checkpoint

from earlycall.integrations.transformers import EarlyCallCallback

options = json.loads(sys.argv[1])
folder = Path(options["folder"])
set_seed(0)
start = torch.randint(0, 8, (64, 1))
tokens = (start + torch.arange(12)) % 16  # counting, from different starts
data = [{"input_ids": row, "labels": row} for row in tokens]


class GivenLosses(Trainer):
    """Logs given losses, if there are any, in the place of the model's."""

    def log(self, logs, *arguments):
        if "losses" in options and "eval_loss" in logs:
            logs["eval_loss"] = options["losses"][self.state.global_step // 2 - 1]
        super().log(logs, *arguments)


class Kill(TrainerCallback):
    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == options.get("kill_at"):
            os.kill(os.getpid(), signal.SIGKILL)


early = EarlyCallCallback(
    options.get("metric", "eval_loss"), options["rule"], options.get("cost", "step")
)
trainer = GivenLosses(
    GPT2LMHeadModel(GPT2Config(vocab_size=16, n_positions=16, n_embd=16, n_layer=1, n_head=2)),
    TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=60,
        per_device_train_batch_size=32,
        learning_rate=0.01,
        lr_scheduler_type="constant",
        eval_strategy="steps",
        eval_steps=2,
        logging_steps=2,
        save_strategy="steps",
        save_steps=4,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        restore_callback_states_from_checkpoint=options.get("restore", False),
    ),
    train_dataset=data,
    eval_dataset=data,
    callbacks=[early, Kill()],
)
trainer.train(resume_from_checkpoint=get_last_checkpoint(folder))
stopped_at = trainer.state.global_step
trainer.evaluate()  # outside of training: not judged
early = next(c for c in trainer.callback_handler.callbacks if isinstance(c, EarlyCallCallback))
found = {
    "step": stopped_at,
    "reason": early.monitor.reason,
    "said": early.monitor.explain(),
    "updates": early.monitor.updates,
    "planned": getattr(early.monitor.rule, "planned", None),
}
(folder / "found.json").write_text(json.dumps(found))
