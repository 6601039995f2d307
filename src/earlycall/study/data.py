"""Images and labels in memory, split so that the test part is never seen before the end."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from earlycall.errors import InputError
from earlycall.extras import needed_for
from earlycall.study.models import imported

with needed_for("a study", "study"):
    import torch

DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # of the package dataset-fashion-mnist
TORCHVISION = {
    "mnist": "MNIST", "fashion-mnist": "FashionMNIST", "kmnist": "KMNIST", "cifar10": "CIFAR10",
    "cifar100": "CIFAR100", "svhn": "SVHN",
}  # fmt: skip


class Part(Protocol):
    """Images with labels, taken in batches."""

    def __len__(self) -> int: ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Channels, height and width of an image."""

    def batches(self, rows: Sequence[torch.Tensor]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Images and labels, a batch for each tensor of rows."""


@dataclass(frozen=True)
class Images:
    """Images and their labels, in memory.

    Attributes:
        x: shape (n, channels, height, width), float32, standardised by the training part.
        y: shape (n,), the class of each, int64.
    """

    x: torch.Tensor
    y: torch.Tensor

    def __len__(self) -> int:
        return len(self.y)

    @property
    def shape(self) -> tuple[int, ...]:
        """Channels, height and width of an image."""
        return tuple(self.x.shape[1:])

    def batches(self, rows: Sequence[torch.Tensor]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Images and labels, a batch for each tensor of rows."""
        return ((self.x[batch], self.y[batch]) for batch in rows)

    def take(self, rows: NDArray[np.int64]) -> Images:
        """The images in these rows."""
        return Images(self.x[rows], self.y[rows])


@dataclass(frozen=True)
class Loaded:
    """Images from any map-style data set of torch, loaded when they are needed.

    Attributes:
        dataset: gives an image, shape (channels, height, width), and its class.
        workers: processes that load beside the training; 0 for none.

    Examples:
        >>> four = torch.utils.data.TensorDataset(torch.zeros(4, 1, 8, 8), torch.arange(4))
        >>> x, y = next(Loaded(four).batches([torch.tensor([2, 0])]))
        >>> x.shape, y.tolist()
        (torch.Size([2, 1, 8, 8]), [2, 0])
    """

    dataset: Any
    workers: int = 0

    def __len__(self) -> int:
        return len(self.dataset)

    @property
    def shape(self) -> tuple[int, ...]:
        """Channels, height and width of an image."""
        return tuple(self.dataset[0][0].shape)

    def batches(self, rows: Sequence[torch.Tensor]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Images and labels, a batch for each tensor of rows."""
        from torch.utils.data import DataLoader

        batches = [batch.tolist() for batch in rows]
        return iter(DataLoader(self.dataset, batch_sampler=batches, num_workers=self.workers))


@dataclass(frozen=True)
class Splits:
    """The parts of a data set.

    Attributes:
        train: for training: `Images`, `Loaded` or anything that gives batches (see `Part`).
        val: for validation after each epoch.
        test: for one test at the end.
        num_classes: the number of classes.
    """

    train: Part
    val: Part
    test: Part
    num_classes: int

    @property
    def in_chans(self) -> int:
        """Channels of the images."""
        return self.train.shape[0]

    @property
    def image_size(self) -> int:
        """Height and width of the images, in pixels."""
        return self.train.shape[1]

    @property
    def model_shape(self) -> dict[str, int]:
        """The arguments of `earlycall.study.models.build` that fit a model to the images."""
        return {
            "in_chans": self.in_chans,
            "num_classes": self.num_classes,
            "image_size": self.image_size,
        }


def splits(
    name: str, *, train: int | None = None, val: int | None = None, **arguments: Any
) -> Splits:
    """A data set in its three parts, the same ones each time.

    Args:
        name: ``digits`` (scikit-learn's), ``fashion-mnist`` (Debian's package
            ``dataset-fashion-mnist`` where it is installed, else downloaded), ``mnist``,
            ``kmnist``, ``cifar10``, ``cifar100``, ``svhn`` (downloaded by torchvision),
            ``folder`` (images in ``PATH/CLASS/``) or ``MODULE:FUNCTION``, which returns a `Splits`.
        train: the number of training images to use; all others by default.
        val: the number of training images to hold out for validation; a fifth by default, at most
            2,000.
        **arguments: ``root`` (where downloads go, or the folder), ``size`` (pixels; images are
            resized to it), ``classes`` (only these labels); or the arguments of the function.

    Raises:
        InputError: if there is no such data set, or too few images.

    Examples:
        >>> parts = splits("digits", train=800, val=300)
        >>> len(parts.train), len(parts.val), len(parts.test), parts.image_size
        (800, 300, 497, 8)
    """
    if ":" in name:
        try:
            own = imported(name)(**arguments)
        except TypeError as error:
            raise InputError(f"{name!r} cannot be called with {arguments}: {error}") from None
        if not isinstance(own, Splits):
            raise InputError(f"{name!r} must return earlycall.study.data.Splits, got {own!r:.60}")
        return own
    if name not in LOADERS:
        raise InputError(f"no data set {name!r}; there are: {', '.join(LOADERS)}, MODULE:FUNCTION")
    allowed = ("size", "classes", "root", *(("test",) if name == "folder" else ()))
    for key in arguments:
        if key not in allowed:
            raise InputError(
                f"data set {name!r} has no argument {key!r}; there are: train, val, "
                f"{', '.join(allowed)}"
            )
    size, classes = arguments.get("size"), arguments.pop("classes", None)
    if name == "folder":  # resizes as it reads
        if "root" not in arguments:
            raise InputError(
                "data set 'folder' needs 'root', a folder with a folder for each class"
            )
    else:
        arguments.pop("size", None)
    learn, test = LOADERS[name](name, **arguments)
    if classes is not None:
        learn, test = _only(learn, classes), _only(test, classes)
    if size is not None:
        learn, test = _resized(learn, size), _resized(test, size)
    return _split(name, learn, test, train, val)


def _split(name: str, learn: Images, test: Images, train: int | None, val: int | None) -> Splits:
    val = min(2000, len(learn) // 5) if val is None else val
    train = len(learn) - val if train is None else train
    if train < 1 or val < 1 or train + val > len(learn):
        raise InputError(
            f"{name}: {train} images for training and {val} for validation, but there are "
            f"{len(learn)}; ask for fewer"
        )
    order = np.random.default_rng(0).permutation(len(learn))
    parts = learn.take(order[:train]), learn.take(order[train : train + val]), test
    mean = parts[0].x.mean((0, 2, 3), keepdim=True)
    spread = parts[0].x.std((0, 2, 3), keepdim=True) + 1e-6
    mine, held, test = (Images((part.x - mean) / spread, part.y) for part in parts)
    return Splits(mine, held, test, num_classes=int(learn.y.max()) + 1)


def _only(images: Images, classes: list[int]) -> Images:
    labels = torch.tensor(classes)
    mask = torch.isin(images.y, labels)
    return Images(images.x[mask], torch.searchsorted(labels, images.y[mask]))


def _resized(images: Images, size: int) -> Images:
    x = torch.nn.functional.interpolate(images.x, (size, size), mode="bilinear", antialias=True)
    return Images(x, images.y)


@cache
def _digits(name: str, root: str = "") -> tuple[Images, Images]:
    with needed_for("the data set of digits", "study"):
        from sklearn.datasets import load_digits

    digits = load_digits()
    x = torch.tensor(digits.images[:, None] / 16, dtype=torch.float32)
    y = torch.tensor(digits.target)
    return Images(x[:1300], y[:1300]), Images(x[1300:], y[1300:])


def _fashion(name: str, root: str = "data") -> tuple[Images, Images]:
    if not DEBIAN.exists():
        return _torchvision(name, root)
    return tuple(  # type: ignore[return-value]
        Images(
            torch.tensor(_idx(DEBIAN / f"{part}-images-idx3-ubyte.gz")[:, None] / 255.0).float(),
            torch.tensor(_idx(DEBIAN / f"{part}-labels-idx1-ubyte.gz"), dtype=torch.int64),
        )
        for part in ("train", "t10k")
    )


def _idx(path: Path) -> NDArray[np.uint8]:
    """An array in LeCun's idx format of bytes."""
    with gzip.open(path) as file:
        content = file.read()
    shape = np.frombuffer(content, ">i4", content[3], 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(shape)


def _torchvision(name: str, root: str = "data") -> tuple[Images, Images]:
    with needed_for(f"the data set {name}", "study"):
        import torchvision

    dataset = getattr(torchvision.datasets, TORCHVISION[name])
    svhn = name == "svhn"
    parts = []
    for part in ("train", "test"):
        which = {"split": part} if svhn else {"train": part == "train"}
        try:
            loaded = dataset(root, download=True, **which)
        except (OSError, RuntimeError) as error:
            raise InputError(f"{name} cannot be downloaded to {root!r}: {error}") from None
        data = np.asarray(loaded.data)
        if data.ndim == 3:
            data = data[:, None]
        elif data.shape[-1] == 3:
            data = data.transpose(0, 3, 1, 2)
        labels = np.asarray(loaded.labels if svhn else loaded.targets)
        x = torch.tensor(data / np.float32(255.0), dtype=torch.float32)
        parts.append(Images(x, torch.as_tensor(labels, dtype=torch.int64)))
    return parts[0], parts[1]


def _folder(name: str, root: str, size: int = 32, test: float = 0.2) -> tuple[Images, Images]:
    """Images in ROOT/CLASS/; a fixed part of them is the test part."""
    with needed_for("a folder of images", "study"):
        import torchvision
        from torchvision import transforms

    resized = transforms.Compose([transforms.Resize((size, size)), transforms.ToTensor()])
    try:
        pictures = torchvision.datasets.ImageFolder(root, resized)
    except (OSError, RuntimeError) as error:
        raise InputError(f"{root}: not a folder of images by class: {error}") from None
    x = torch.stack([image for image, _ in pictures])
    images = Images(x, torch.tensor(pictures.targets))
    order = np.random.default_rng(1).permutation(len(images))
    cut = int(len(images) * (1 - test))
    return images.take(order[:cut]), images.take(order[cut:])


LOADERS: dict[str, Callable[..., tuple[Images, Images]]] = {
    "digits": _digits,
    **dict.fromkeys(TORCHVISION, _torchvision),
    "fashion-mnist": _fashion,
    "folder": _folder,
}
