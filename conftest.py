"""Settings for all tests, those in docstrings among them."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")  # Keras would look for TensorFlow

collect_ignore = ["src/earlycall/nas/migrations/env.py"]  # alembic runs it, nobody imports it
