"""Settings for all tests, those in docstrings among them."""

import importlib.util
import os
import tempfile
from pathlib import Path

import pytest

from earlycall.scores import registry

# The tools whose logs are read: they ask no server, send nothing home, and wait for their own
# processes on a slow machine (W&B gives up after 30 seconds).
os.environ.update(
    WANDB_MODE="offline", WANDB_SILENT="true", WANDB_ERROR_REPORTING="false",
    WANDB__SERVICE_WAIT="300", WANDB_INIT_TIMEOUT="300", RAY_USAGE_STATS_ENABLED="0",
    MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true", DVC_NO_ANALYTICS="1",
    TRACKIO_SHOW_INTERACTIVE="0", HF_HUB_OFFLINE="1", YOLO_OFFLINE="true",
    MLFLOW_ALLOW_FILE_STORE="true", GIT_PYTHON_REFRESH="quiet",
    KERAS_BACKEND="torch",  # else it looks for TensorFlow
    XDG_STATE_HOME=str(Path(tempfile.gettempdir(), "earlycall-tests")),  # studies that were made
)  # fmt: skip

collect_ignore = ["src/earlycall/nas/migrations/env.py"]  # alembic runs it, nobody imports it

# Without a network: in this process, and in all that it starts.
OFFLINE = Path(__file__).parent / "tests" / "offline"
if str(OFFLINE) not in os.environ.get("PYTHONPATH", "").split(os.pathsep):
    spec = importlib.util.spec_from_file_location("offline", OFFLINE / "sitecustomize.py")
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    paths = [str(OFFLINE), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)


@pytest.fixture(autouse=True)
def registered_scores(monkeypatch):
    """A score that a test registers is gone after it."""
    registry.names()  # which loads those of the package
    monkeypatch.setattr(registry, "_registry", dict(registry._registry))
