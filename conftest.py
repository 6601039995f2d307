"""Settings for all tests, those in docstrings among them."""

import importlib.util
import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")  # Keras would look for TensorFlow

collect_ignore = ["src/earlycall/nas/migrations/env.py"]  # alembic runs it, nobody imports it

# Without a network: in this process, and in all that it starts.
OFFLINE = Path(__file__).parent / "tests" / "offline"
if str(OFFLINE) not in os.environ.get("PYTHONPATH", "").split(os.pathsep):
    spec = importlib.util.spec_from_file_location("offline", OFFLINE / "sitecustomize.py")
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    paths = [str(OFFLINE), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
