"""Settings for all tests, those in docstrings among them."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")  # Keras would look for TensorFlow
