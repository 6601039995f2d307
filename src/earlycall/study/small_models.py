"""Thin versions of popular architectures, for small images and small machines."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from earlycall.extras import needed_for

with needed_for("a study", "study"):
    import torch
    from torch import nn


def mlp(
    in_chans: int, num_classes: int, image_size: int, widths: Sequence[int] = (128, 128)
) -> nn.Module:
    """A multi-layer perceptron with ReLU."""
    layers: list[nn.Module] = [nn.Flatten()]
    inputs = in_chans * image_size**2
    for width in widths:
        layers += [nn.Linear(inputs, width), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, num_classes))


def cnn(
    in_chans: int, num_classes: int, image_size: int, widths: Sequence[int] = (16, 32, 64)
) -> nn.Module:
    """Convolutions without normalisation, each halving the image, as in LeNet."""
    layers: list[nn.Module] = []
    for width in widths:
        layers += [nn.Conv2d(in_chans, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        in_chans = width
    return nn.Sequential(*layers, *_head(in_chans, num_classes))


def vgg(
    in_chans: int,
    num_classes: int,
    image_size: int,
    widths: Sequence[int] = (16, 32, 64),
    convolutions: int = 2,
) -> nn.Module:
    """VGG with batch normalisation (Simonyan & Zisserman 2015): blocks of equal convolutions."""
    layers: list[nn.Module] = []
    for width in widths:
        for _ in range(convolutions):
            layers += _conv(in_chans, width, 3)
            in_chans = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, *_head(in_chans, num_classes))


def inception(in_chans: int, num_classes: int, image_size: int, width: int = 8) -> nn.Module:
    """GoogLeNet's inception blocks (Szegedy et al. 2015), three of them."""
    layers = _conv(in_chans, 2 * width, 3)
    for scale in (1, 2, 4):
        layers += [nn.MaxPool2d(2), Inception(2 * scale * width, scale * width)]
    return nn.Sequential(*layers, *_head(16 * width, num_classes))


def mixer(
    in_chans: int,
    num_classes: int,
    image_size: int,
    patch_size: int = 4,
    embed_dim: int = 64,
    num_blocks: int = 4,
) -> nn.Module:
    """MLP-Mixer (Tolstikhin et al. 2021), timm's, whose own names fix its size."""
    from timm.models.mlp_mixer import MlpMixer

    model: nn.Module = MlpMixer(
        num_classes, image_size, in_chans, patch_size, num_blocks, embed_dim
    )
    return model


class Inception(nn.Module):
    """Four branches of `width` channels: 1×1, 3×3, 5×5 (as two 3×3) and pooling."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        half = max(width // 2, 4)
        self.branches = nn.ModuleList(
            nn.Sequential(*layers)
            for layers in (
                _conv(inputs, width, 1),
                [*_conv(inputs, half, 1), *_conv(half, width, 3)],
                [*_conv(inputs, half, 1), *_conv(half, half, 3), *_conv(half, width, 3)],
                [nn.MaxPool2d(3, 1, 1), *_conv(inputs, width, 1)],
            )
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Join the branches' channels."""
        return torch.cat([branch(x) for branch in self.branches], 1)


def _conv(inputs: int, outputs: int, size: int) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


def _head(inputs: int, num_classes: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, num_classes)]


SMALL_MODELS: dict[str, Callable[..., nn.Module]] = {
    "mlp": mlp, "cnn": cnn, "vgg": vgg, "inception": inception, "mixer": mixer,
}  # fmt: skip
