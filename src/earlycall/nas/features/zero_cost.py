"""Measures of an untrained network on one batch, which need no training."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn

_LIKE_RELU = frozenset({  # of torch's operators; relu6 is a hardtanh, prelu has a kernel
    "relu", "leaky_relu", "gelu", "silu", "hardswish", "elu", "selu", "celu", "mish", "hardtanh",
    "_prelu_kernel", "rrelu_with_noise",
})  # fmt: skip


def zero_cost(module: nn.Module, x: torch.Tensor, y: torch.Tensor) -> dict[str, float]:
    """Five measures as columns ``arch.zero.*``; the module is not changed.

    - ``grad_norm``: norm of the loss's gradient (Abdelfattah et al., ICLR 2021), log10;
    - ``snip``: Σ |gradient · weight| (Lee et al., ICLR 2019), log10;
    - ``synflow``: Σ |weight · gradient of the output| for an input of ones and all weights made
      positive (Tanaka et al., NeurIPS 2020), log10;
    - ``jacov``: how little the gradients for different inputs resemble each other, from the
      eigenvalues of their correlation (Mellor et al., 2020, first version);
    - ``naswot``: log-determinant of the kernel of how many ReLU-like units agree between inputs
      (Mellor et al., ICML 2021), whether they are modules or functions such as ``torch.relu``.

    The last two normalise by the statistics of the batch, as their sources do: before training, the
    running ones of a batch normalisation say nothing. Dropout is off in both.

    Args:
        module: a classifier with random weights.
        x: inputs, shape (n, channels, height, width); 16 to 64 are usual.
        y: their classes, shape (n,).

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> _ = torch.manual_seed(0)
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> found = zero_cost(net, torch.randn(6, 1, 4, 4), torch.arange(6) % 3)
        >>> sorted(found)
        ['arch.zero.grad_norm', 'arch.zero.jacov', 'arch.zero.naswot', 'arch.zero.snip',
         'arch.zero.synflow']
    """
    grad_norm, snip = _of_gradient(copy.deepcopy(module), x, y)
    measures = {
        "grad_norm": _log(grad_norm),
        "snip": _log(snip),
        "synflow": _log(_synflow(copy.deepcopy(module), x[:1])),
        "jacov": _jacov(copy.deepcopy(module), x),
        "naswot": _naswot(copy.deepcopy(module), x),
    }
    return {f"arch.zero.{name}": value for name, value in measures.items()}


def _logits(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The network's output, without the auxiliary ones that some return, too."""
    out = module(x)
    logits: torch.Tensor = out if hasattr(out, "ndim") else out[0]
    return logits


def _of_gradient(module: nn.Module, x: torch.Tensor, y: torch.Tensor) -> tuple[float, float]:
    from torch.nn.functional import cross_entropy

    module.train()
    cross_entropy(_logits(module, x), y).backward()  # type: ignore[no-untyped-call]
    squares = (float((p.grad**2).sum()) for p in module.parameters() if p.grad is not None)
    return math.sqrt(sum(squares)), _saliency(module)


def _saliency(module: nn.Module) -> float:
    """Σ |gradient · weight|."""
    pairs = ((p.detach(), p.grad) for p in module.parameters() if p.grad is not None)
    return sum(float((weight * gradient).abs().sum()) for weight, gradient in pairs)


def _synflow(module: nn.Module, image: torch.Tensor) -> float:
    import torch

    module = module.double().eval()
    with torch.no_grad():
        for p in module.parameters():
            p.abs_()
    ones = torch.ones_like(image, dtype=torch.float64)
    _logits(module, ones).sum().backward()  # type: ignore[no-untyped-call]
    return _saliency(module)


def _with_statistics_of_the_batch(module: nn.Module) -> nn.Module:
    """The module in evaluation, but for its batch normalisations."""
    from torch.nn.modules.batchnorm import _BatchNorm

    module.eval()
    for layer in module.modules():
        if isinstance(layer, _BatchNorm):
            layer.train()
    return module


def _jacov(module: nn.Module, x: torch.Tensor) -> float:
    import torch

    x = x.clone().requires_grad_()
    out = _logits(_with_statistics_of_the_batch(module), x)
    out.sum().backward()  # type: ignore[no-untyped-call]
    if x.grad is None:
        return math.nan
    rows = x.grad.flatten(1).double()
    rows = rows - rows.mean(1, keepdim=True)
    rows = rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-12)
    values = torch.linalg.eigvalsh(rows @ rows.T).clamp_min(0) + 1e-5
    return -float((values.log() + 1 / values).sum())


def _naswot(module: nn.Module, x: torch.Tensor) -> float:
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    kernel = torch.zeros(len(x), len(x), dtype=torch.float64)

    class CountAgreement(TorchDispatchMode):  # type: ignore[no-untyped-call]
        """Sees every activation, called as a module, a function or a method."""

        def __torch_dispatch__(
            self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if operation.overloadpacket.__name__.rstrip("_") in _LIKE_RELU:
                inputs = args[0]
                if inputs.ndim and len(inputs) % len(x) == 0:
                    active = (inputs.reshape(len(x), -1) > 0).double()
                    kernel.add_(active @ active.T + (1 - active) @ (1 - active).T)
            return operation(*args, **(kwargs or {}))

    module = _with_statistics_of_the_batch(module)
    counting = CountAgreement()  # type: ignore[no-untyped-call]
    with torch.enable_grad(), counting:  # without gradients, attention is one operation
        module(x)
    value = torch.linalg.slogdet(kernel + 1e-6 * torch.eye(len(x), dtype=torch.float64))
    return float(value.logabsdet) if float(kernel.sum()) else math.nan


def _log(value: float) -> float:
    return math.log10(value) if 0 < value < math.inf else math.nan
