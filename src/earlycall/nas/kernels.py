"""A kernel that sees only some columns, which scikit-learn's do not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from earlycall.extras import needed_for

with needed_for("train-less ranking", "nas"):
    from sklearn.gaussian_process.kernels import Kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray


class OnColumns(Kernel):  # type: ignore[misc]
    """A kernel of the columns from ``start`` to before ``stop``; sums of such are additive models.

    Args:
        kernel: the kernel of these columns.
        start: the first column.
        stop: the column after the last.

    Examples:
        >>> from sklearn.gaussian_process.kernels import RBF
        >>> X = np.array([[0.0, 1.0], [5.0, 1.0]])
        >>> OnColumns(RBF(), 1, 2)(X).tolist()
        [[1.0, 1.0], [1.0, 1.0]]
    """

    def __init__(self, kernel: Kernel, start: int, stop: int) -> None:
        self.kernel = kernel
        self.start = start
        self.stop = stop

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Its arguments."""
        return {"kernel": self.kernel, "start": self.start, "stop": self.stop}

    @property
    def theta(self) -> NDArray[np.float64]:
        """The logarithms of the kernel's numbers."""
        return np.asarray(self.kernel.theta)

    @theta.setter
    def theta(self, theta: NDArray[np.float64]) -> None:
        self.kernel.theta = theta

    @property
    def bounds(self) -> NDArray[np.float64]:
        """Those of ``theta``."""
        return np.asarray(self.kernel.bounds)

    @property
    def hyperparameters(self) -> list[Any]:
        """Those of the kernel."""
        return list(self.kernel.hyperparameters)

    def clone_with_theta(self, theta: NDArray[np.float64]) -> OnColumns:
        """The same with other numbers."""
        return OnColumns(self.kernel.clone_with_theta(theta), self.start, self.stop)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OnColumns) and self.get_params() == other.get_params()

    __hash__ = None  # type: ignore[assignment]

    def __call__(self, X: Any, Y: Any = None, eval_gradient: bool = False) -> Any:
        """The covariances of the rows of X and Y."""
        own = slice(self.start, self.stop)
        return self.kernel(X[:, own], None if Y is None else Y[:, own], eval_gradient)

    def diag(self, X: Any) -> Any:
        """The variances of the rows of X."""
        return self.kernel.diag(X[:, self.start : self.stop])

    def is_stationary(self) -> bool:
        """Whether the kernel depends on differences only."""
        return bool(self.kernel.is_stationary())
