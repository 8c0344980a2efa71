"""Strategies on several heads: each client holds the outputs of its own head, and shares all the rest.

A client's model ends in its own outputs alone, so that losses, codecs and states need no knowledge of heads, and the
server's mean over holders leaves no update diluted by clients of other heads. Nothing here knows what a head means.
"""

from dataclasses import dataclass, replace

import numpy as np

from fedwright_federation.algorithm.model import CLASSES, Model, Role
from fedwright_federation.algorithm.parts import ClientInfo, Round, View
from fedwright_federation.algorithm.strategy import Strategy
from fedwright_federation.algorithm.tree import Frame, Tree
from fedwright_federation.heads import Heads


def own_part(heads: Heads, model: Model, tree: Tree, client: int) -> Tree:
    """A global model as the client's task sees it: with its own outputs alone."""
    frame = own_frame(heads, model, tree, client)
    return frame.down(tree) if frame else dict(tree)


def own_frame(heads: Heads, model: Model, like: Tree, client: int) -> Frame | None:
    """The client's part of a tree with the shapes of `like`; None for all of it."""
    if len(heads.outputs) == 1:
        return None
    whole = Frame({k: tuple(np.arange(n, dtype=np.intp) for n in value.shape) for k, value in like.items()})
    return _without_others(whole, heads, model, client)


def _without_others(frame: Frame, heads: Heads, model: Model, client: int) -> Frame:
    """The frame, less the outputs of other heads."""
    own = heads.span(client)
    return Frame(
        {
            key: tuple(own if group == CLASSES else kept for group, kept in zip(model.axes(key), window, strict=True))
            for key, window in frame.windows.items()
        }
    )


@dataclass(frozen=True)
class OwnHead(View):
    """What `inner` lets a client see, less the outputs of other heads."""

    inner: View
    heads: Heads

    @property
    def features(self) -> frozenset[str]:
        return self.inner.features | {"frames", "heads"}

    @property
    def needs(self) -> frozenset[str]:
        return self.inner.needs

    def model(self, base: Model) -> Model:
        return self.inner.model(base)

    def shared(self, key: str, role: Role) -> bool:
        return self.inner.shared(key, role)

    def frame(self, client: ClientInfo, like: Tree, round: Round) -> Frame | None:
        inner = self.inner.frame(client, like, round)
        if inner is None:
            return own_frame(self.heads, round.model, like, client.id)
        return _without_others(inner, self.heads, round.model, client.id)


def on_heads(strategy: Strategy, heads: Heads) -> Strategy:
    """The strategy on clients that have these heads; itself where there is one."""
    if len(heads.outputs) == 1:
        return strategy
    return replace(strategy, view=OwnHead(strategy.view, heads))
