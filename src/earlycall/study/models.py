"""A model from its name: any of timm's and torchvision's, a thin one, or a factory of one's own."""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Any

from earlycall.errors import InputError, nearest
from earlycall.extras import needed_for

if TYPE_CHECKING:
    from torch import nn

SOURCES = ("timm", "torchvision", "thin")


def build(
    model: str, arguments: dict[str, Any], *, in_chans: int, num_classes: int, image_size: int
) -> nn.Module:
    """A new model with random weights, from torch's global random state.

    Args:
        model: ``timm/NAME``, ``torchvision/NAME``, ``thin/NAME`` or ``MODULE:FUNCTION``, a factory
            that can be imported.
        arguments: keyword arguments of the model.
        in_chans: channels of the images; passed where the factory takes it, as are the next two.
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
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"model {model!r} cannot be built with {arguments}: {said}") from None


def _timm(name: str, arguments: dict[str, Any], shape: dict[str, int]) -> nn.Module:
    with needed_for(f"timm/{name}", "study"):
        import timm

    if name not in timm.list_models():
        raise InputError(f"timm has no model {name!r}{nearest(name, timm.list_models())}")
    sized = {"in_chans": shape["in_chans"], "num_classes": shape["num_classes"]}
    model: nn.Module = timm.create_model(name, pretrained=False, **(sized | arguments))
    return model


def _torchvision(name: str, arguments: dict[str, Any], shape: dict[str, int]) -> nn.Module:
    with needed_for(f"torchvision/{name}", "study"):
        import torchvision
        from torch import nn

    if name not in torchvision.models.list_models():
        hint = nearest(name, torchvision.models.list_models())
        raise InputError(f"torchvision has no model {name!r}{hint}")
    model: nn.Module = torchvision.models.get_model(
        name, weights=None, **({"num_classes": shape["num_classes"]} | arguments)
    )
    if shape["in_chans"] != 3:  # torchvision's models take three channels
        model = nn.Sequential(nn.Conv2d(shape["in_chans"], 3, 1), model)
    return model


def _factory(name: str, arguments: dict[str, Any], shape: dict[str, int]) -> nn.Module:
    if name.startswith("thin/"):
        from earlycall.study.small_models import THIN

        short = name.removeprefix("thin/")
        if short not in THIN:
            raise InputError(f"there is no thin model {short!r}; there are: {', '.join(THIN)}")
        make = THIN[short]
    else:
        make = imported(name)
    takes = inspect.signature(make).parameters
    every = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in takes.values())
    fitting = {key: value for key, value in shape.items() if every or key in takes}
    return make(**(fitting | arguments))


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
