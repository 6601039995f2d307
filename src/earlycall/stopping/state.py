"""State as JSON, for checkpoints and for runs that are resumed."""

from __future__ import annotations

import copy
from typing import Any, ClassVar

from earlycall.errors import InputError


class Stateful:
    """An object whose state is the attributes named in ``FIELDS``.

    Each holds a value that JSON has, or another stateful object.
    """

    FIELDS: ClassVar[tuple[str, ...]]
    __slots__ = ()

    def state_dict(self) -> dict[str, Any]:
        """The state as JSON."""
        values = {name: getattr(self, name) for name in self.FIELDS}
        return {
            name: value.state_dict() if isinstance(value, Stateful) else copy.deepcopy(value)
            for name, value in values.items()
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave.

        Raises:
            InputError: if the state does not fit, or is incomplete.
        """
        for name in self.FIELDS:
            if name not in state:
                raise InputError(f"the saved state of a {type(self).__name__} lacks {name!r}")
        for name in self.FIELDS:
            value = getattr(self, name)
            if isinstance(value, Stateful):
                value.load_state_dict(state[name])
            else:
                setattr(self, name, copy.deepcopy(state[name]))
