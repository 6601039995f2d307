"""Models of a user's own: one that takes its time, and one that fails, once or always."""

import time
from pathlib import Path

from torch import nn


class Slow(nn.Sequential):
    """A perceptron whose training steps last at least so many seconds."""

    def __init__(self, inputs, num_classes, seconds):
        layers = nn.Flatten(), nn.Dropout(0.1), nn.Linear(inputs, 16), nn.ReLU()
        super().__init__(*layers, nn.Linear(16, num_classes))
        self.seconds = seconds

    def forward(self, x):
        if self.training:
            time.sleep(self.seconds)
        return super().forward(x)


def slow(num_classes, image_size, seconds=0.03):
    return Slow(image_size**2, num_classes, seconds)


class Failing(Slow):
    """Fails in training until a file says that it has failed before."""

    def __init__(self, inputs, num_classes, once):
        super().__init__(inputs, num_classes, 0.0)
        self.once = once

    def forward(self, x):
        if self.training and not (self.once and Path(self.once).exists()):
            if self.once:
                Path(self.once).touch()
            raise ZeroDivisionError("the device is on fire")
        return super().forward(x)


def failing(num_classes, image_size, once=""):
    return Failing(image_size**2, num_classes, once)
