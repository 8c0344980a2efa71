"""Clients with heads of their own: head before body in training, and the head's refresh before it is judged."""

import math
from dataclasses import dataclass
from typing import get_args

from fedwright_federation.algorithm import ClientInfo, Evaluation, LocalPlan, Phase, Role, Round, Schedule
from fedwright_federation.algorithm.neutral import planned_steps
from fedwright_federation.parts.views import HEAD

BODY: frozenset[Role] = frozenset(get_args(Role)) - HEAD


@dataclass(frozen=True)
class HeadThenBody(Schedule):
    """The head's steps on a frozen body, then the body's on a frozen head (Collins et al. 2021, algorithm 1).

    Both together are the training's steps, so that no more work is done than by other schedules; `head_share` of them are
    the head's, and where there are two or more the body always has one. All at lr * decay^(round - 1).
    """

    head_share: float = 0.5
    decay: float = 1.0

    needs = frozenset({"head", "body"})

    def __post_init__(self) -> None:
        if not 0 < self.head_share < 1:
            raise ValueError(f"head_share is {self.head_share} and must lie between 0 and 1, both excluded")

    def plan(self, client: ClientInfo, round: Round) -> LocalPlan:
        steps = planned_steps(client, round.training)
        head = min(max(1, math.floor(self.head_share * steps + 0.5)), max(0, steps - 1))
        factor = self.decay ** (round.number - 1)
        return LocalPlan((Phase(head, factor, HEAD), Phase(steps - head, factor, BODY)))


@dataclass(frozen=True)
class HeadRefreshed(Evaluation):
    """The client's head is fitted once more to the present body, by the schedule's own first phase, before it is judged."""

    schedule: HeadThenBody = HeadThenBody()

    needs = frozenset({"head"})

    @property
    def personal(self) -> bool:
        return True

    def refresh(self, client: ClientInfo, round: Round) -> LocalPlan:
        return LocalPlan(self.schedule.plan(client, round).phases[:1])
