"""A model from its name: timm's, torchvision's, a thin one, or a factory of your own."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from earlycall.errors import InputError, nearest
from earlycall.extras import needed_for

if TYPE_CHECKING:
    from torch import nn

_PASSED_ON = ("in_chans", "num_classes")


def build(
    model: str, arguments: dict[str, Any], *, in_chans: int, num_classes: int, image_size: int
) -> nn.Module:
    """A new model with random weights, from torch's global random state.

    Args:
        model: ``timm/NAME``, ``torchvision/NAME``, ``thin/NAME`` or ``MODULE:FUNCTION``, a factory
            that can be imported.
        arguments: keyword arguments of the model.
        in_chans: channels of the images; passed where the factory takes it, as are the next two.
            One with ``**kwargs`` gets this and ``num_classes``, as all models of timm take.
        num_classes: classes.
        image_size: height and width of the images, in pixels.

    Raises:
        InputError: if there is no such model, or it does not take these arguments.

    Examples:
        >>> net = build("thin/mlp", {"widths": [16]}, in_chans=1, num_classes=10, image_size=8)
        >>> sum(p.numel() for p in net.parameters())
        1210
    """
    shape = {"in_chans": in_chans, "num_classes": num_classes, "image_size": image_size}
    try:
        if model.startswith("timm/"):
            return _timm(model.removeprefix("timm/"), arguments, shape)
        if model.startswith("torchvision/"):
            return _torchvision(model.removeprefix("torchvision/"), arguments, shape)
        return _factory(model, arguments, shape)
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        if isinstance(error, InputError):
            raise
        reason = first_line(error)
        raise InputError(f"model {model!r} cannot be built with {arguments}: {reason}") from None


def family(model: str) -> str:
    """The family of a model: the module that it comes from in timm or torchvision, else its name.

    Examples:
        >>> family("timm/resnet10t"), family("thin/vgg"), family("mine:network")
        ('resnet', 'vgg', 'network')
    """
    source, _, name = model.partition("/")
    try:
        if source == "timm":
            import timm

            return str(timm.model_entrypoint(name).__module__).rpartition(".")[2]
        if source == "torchvision":
            import torchvision

            return str(torchvision.models.get_model_builder(name).__module__).rpartition(".")[2]
    except (ImportError, RuntimeError, ValueError):
        return name
    return name or model.rpartition(":")[2]


def _timm(name: str, arguments: dict[str, Any], shape: dict[str, int]) -> nn.Module:
    with needed_for(f"timm/{name}", "study"):
        import timm

    _check_name(name, "timm", timm.list_models())
    defaults = {"in_chans": shape["in_chans"], "num_classes": shape["num_classes"]}
    model: nn.Module = timm.create_model(name, pretrained=False, **(defaults | arguments))
    return model


def _torchvision(name: str, arguments: dict[str, Any], shape: dict[str, int]) -> nn.Module:
    with needed_for(f"torchvision/{name}", "study"):
        import torchvision
        from torch import nn

    _check_name(name, "torchvision", torchvision.models.list_models())
    model: nn.Module = torchvision.models.get_model(
        name, weights=None, **({"num_classes": shape["num_classes"]} | arguments)
    )
    if shape["in_chans"] != 3:  # torchvision's models take three channels
        model = nn.Sequential(nn.Conv2d(shape["in_chans"], 3, 1), model)
    return model


def _factory(name: str, arguments: dict[str, Any], shape: dict[str, int]) -> nn.Module:
    if name.startswith("thin/"):
        from earlycall.study.small_models import SMALL_MODELS

        short = name.removeprefix("thin/")
        if short not in SMALL_MODELS:
            raise InputError(
                f"there is no thin model {short!r}; there are: {', '.join(SMALL_MODELS)}"
            )
        factory = SMALL_MODELS[short]
    else:
        factory = imported(name)
    parameters = inspect.signature(factory).parameters
    passes_on = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    accepted = {
        key: value
        for key, value in shape.items()
        if key in parameters or (passes_on and key in _PASSED_ON)
    }
    return factory(**(accepted | arguments))


def imported(name: str) -> Any:
    """What ``MODULE:NAME`` names.

    Raises:
        InputError: if it is not of that form or cannot be imported.

    Examples:
        >>> imported("math:sqrt")(9.0)
        3.0
    """
    module, _, attribute = name.partition(":")
    if not attribute:
        raise InputError(
            f"model {name!r} must be timm/NAME, torchvision/NAME, thin/NAME or MODULE:FUNCTION"
        )
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise InputError(f"{name!r} cannot be imported: {error}") from None


def add_import_folders(folders: Iterable[str]) -> None:
    """Let ``MODULE:FUNCTION`` be imported from these folders, too."""
    sys.path[:0] = [folder for folder in folders if folder not in sys.path]
    importlib.invalidate_caches()


def first_line(error: Exception) -> str:
    """The first line of an error's message, or its type where it has none."""
    return str(error).partition("\n")[0] or type(error).__name__


def _check_name(name: str, library: str, names: list[str]) -> None:
    if name not in names:
        raise InputError(f"{library} has no model {name!r}{nearest(name, names)}")
