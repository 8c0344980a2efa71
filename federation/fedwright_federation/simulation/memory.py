"""What a client keeps between rounds. It is held by client id, wherever the client runs, and is flat arrays on disk."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from fedwright_federation.algorithm.tree import Array, Named, Tree


@dataclass(frozen=True)
class ClientMemory:
    """Replaced as a whole when a round ends well, so that a client which drops out keeps what it had."""

    private: Tree = field(default_factory=dict)
    """The keys that never travel, in the client's frame."""
    states: tuple[Named, ...] = ()
    """One for each `ClientState` part of the strategy, in its order."""
    residual: Tree = field(default_factory=dict)
    """The upload codec's."""
    received: Tree = field(default_factory=dict)
    """The last downloaded model, kept only where downloads carry changes."""

    def to_tree(self) -> Tree:
        """One flat tree, for checkpoints and for a node's disk."""
        groups = {"private": self.private, "residual": self.residual, "received": self.received}
        tree = {f"{group}/{key}": value for group, held in groups.items() for key, value in held.items()}
        tree["states"] = np.array([len(self.states)], dtype=np.float32)
        for i, state in enumerate(self.states):
            tree |= {f"state/{i}/{name}/{key}": v for name, held in state.items() for key, v in held.items()}
        return tree

    @classmethod
    def from_tree(cls, tree: Mapping[str, Array]) -> "ClientMemory":
        groups: dict[str, Tree] = {"private": {}, "residual": {}, "received": {}}
        states: tuple[Named, ...] = tuple({} for _ in range(int(tree["states"][0])))
        for path, value in tree.items():
            group, _, key = path.partition("/")
            if group == "state":
                index, name, key = key.split("/", 2)
                states[int(index)].setdefault(name, {})[key] = value
            elif group in groups:
                groups[group][key] = value
        return cls(states=states, **groups)

    def merged_states(self) -> Named:
        """All parts' trees by name, as loss and gradient terms see them."""
        return {name: tree for state in self.states for name, tree in state.items()}
