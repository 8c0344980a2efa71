"""A world in memory for reconcilers: it holds resources and finished work, and answers wanted work by a script.

No part of a reconciler is replaced: the world is only the shell around the pure functions, one observation at a time.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from fedwright_crds.allowance import Role
from fedwright_crds.base import Strict, digest_of
from fedwright_crds.candidate import Candidate, Range
from fedwright_crds.deployment import Deployment
from fedwright_crds.documents import (
    CandidateCode,
    CodeInput,
    CodeOutput,
    CurvePoint,
    DataFacts,
    DecideInput,
    Decision,
    DeploymentMetrics,
    Grade,
    Idea,
    JudgeSpec,
    PlanOutput,
    ReflectInput,
    ReflectOutput,
    ReviewInput,
    ReviewOutput,
    RoundMetrics,
    Score,
    TestReport,
    TuneInput,
    TuneOutput,
)
from fedwright_crds.documents import (
    Plan as SearchPlan,
)
from fedwright_crds.federation import Federation
from fedwright_crds.judging_work import evaluated_rounds
from fedwright_crds.request import FLStrategyRequest
from fedwright_crds.task import Architecture, ModelSpec
from fedwright_crds.transcript import Charge
from fedwright_crds.work import BoxKind, Outcome, Reason, Verdict, Work, WorkResult
from fedwright_operator.reconcile import candidate, deployment, federation, request
from fedwright_operator.reconcile.api import Observed, Plan, ReleaseStatus

START = datetime(2026, 1, 1, tzinfo=UTC)
IMAGES = {kind: digest_of(str(kind).encode()) for kind in BoxKind}
LEARNING_RATE = Range(name="lr", default=0.1, grid=(0.03, 0.1, 0.3))

Answer = Mapping[str, Strict | bytes] | Reason
"""Outputs by name, or the reason why the work failed."""


def wish(name: str = "wish", **spec: Any) -> FLStrategyRequest:
    """A small request that approves itself unless told otherwise."""
    task = {"data": {"source": "Digits"}, "training": {"rounds": 8, "localSteps": 2}}
    automatic = {"questions": "Automatic", "plan": "Automatic", "promotion": "Automatic"}
    body = {
        "goal": "learn",
        "task": task,
        "interaction": automatic,
        "search": {"trials": 3, "proposals": 2, "topK": 1, "generations": 1},
        "deployment": {"enabled": False},
        **spec,
    }
    document = {
        "apiVersion": "fedwright.dev/v1alpha1",
        "kind": "FLStrategyRequest",
        "metadata": {"name": name},
        "spec": body,
    }
    made = FLStrategyRequest.model_validate_json(json.dumps(document))
    return made.model_copy(
        update={"metadata": made.metadata.model_copy(update={"uid": "uid-" + name, "generation": 1})}
    )


def idea(method: str, title: str = "", **more: Any) -> Idea:
    return Idea(
        title=title or method,
        method=method,
        hypothesis=f"{method} helps",
        hyperparameters=(LEARNING_RATE,),
        **more,
    )


@dataclass
class World:
    """Answers work by kind. Scores come from `quality`: a method's accuracy, before a little noise by seed."""

    request: FLStrategyRequest
    quality: Mapping[str, float] = field(
        default_factory=lambda: {"fedavg": 0.80, "fedprox": 0.81, "scaffold": 0.90, "fedadam": 0.85}
    )
    script: dict[str, Callable[["World", Work], Answer]] = field(default_factory=dict)
    candidates: dict[str, Candidate] = field(default_factory=dict)
    deployments: dict[str, Deployment] = field(default_factory=dict)
    federations: dict[str, Federation] = field(default_factory=dict)
    results: dict[str, WorkResult] = field(default_factory=dict)
    artifacts: dict[str, bytes] = field(default_factory=dict)
    started: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    phases: list[str] = field(default_factory=list)
    charged: Callable[[], Mapping[Role, Charge] | None] = dict
    lessons: Callable[[], bytes] = bytes
    taught: list[bytes] = field(default_factory=list)
    now: datetime = START

    # -- the shell ----------------------------------------------------------------------------------------------------
    def observe(self, resource: Any) -> Observed[Any]:
        return Observed(
            resource=resource,
            now=self.now,
            images=IMAGES,
            results=self.results,
            read=self.artifacts.__getitem__,
            candidates=tuple(self.candidates.values()),
            request=self.request,
            federation=next(iter(self.federations.values()), None),
            deployment=next(iter(self.deployments.values()), None),
            charged=self.charged,
            lessons=self.lessons,
            release=ReleaseStatus(True, 3, "127.0.0.1:1", "2027-01-01T00:00:00Z"),
        )

    def plans(self) -> list[Plan[Any]]:
        """One pass over all; each plan is applied before the next resource is observed."""
        made: list[Plan[Any]] = [self.apply(request.plan(self.observe(self.request)))]
        made += [self.apply(candidate.plan(self.observe(self.candidates[name]))) for name in list(self.candidates)]
        made += [self.apply(federation.plan(self.observe(one))) for one in list(self.federations.values())]
        made += [self.apply(deployment.plan(self.observe(one))) for one in list(self.deployments.values())]
        return made

    def apply(self, plan: Plan[Any]) -> Plan[Any]:
        self.artifacts.update({**plan.artifacts, **plan.orders})
        if plan.teaches:
            self.taught.append(self.artifacts[plan.teaches])
        self._store(plan.resource, status=True)
        for child in plan.apply:
            self._store(child, status=False)
        return plan

    def everything(self) -> tuple[Any, ...]:
        return self.request, dict(self.candidates), dict(self.deployments), dict(self.federations)

    def _store(self, resource: Any, *, status: bool) -> None:
        if isinstance(resource, FLStrategyRequest):
            if resource.status.phase != self.request.status.phase:
                self.phases.append(str(resource.status.phase))
            self.request = self.request.model_copy(update={"status": resource.status})
            return
        kept: dict[str, Any] = {
            "Candidate": self.candidates,
            "Deployment": self.deployments,
            "Federation": self.federations,
        }[resource.kind]
        known = kept.get(resource.metadata.name)
        if known is None:
            kept[resource.metadata.name] = resource
        else:
            kept[resource.metadata.name] = known.model_copy(
                update={"status": resource.status} if status else {"spec": resource.spec}
            )

    def step(self) -> bool:
        """One pass over all, then one unit of work. False when nothing is left to do."""
        self.now += timedelta(seconds=1)
        before = self.everything()
        plans = self.plans()
        changed = before != self.everything()
        wanted = [work for plan in plans for work in plan.works if work.id not in self.results]
        if wanted:
            self.finish(wanted[0])
        return changed or bool(wanted)

    def run(self, steps: int = 5000) -> "World":
        for _ in range(steps):
            if not self.step():
                return self
        raise AssertionError(f"not settled after {steps} steps: {self.request.status.phase}")

    # -- the boxes ----------------------------------------------------------------------------------------------------
    def finish(self, work: Work) -> None:
        self.started[work.id] += 1
        self.kinds[work.kind] += 1
        answer = self.script.get(work.kind, getattr(World, f"answer_{work.kind}", None) or World.unknown)(self, work)
        failed = isinstance(answer, Reason)
        platform = failed and answer is Reason.PLATFORM
        outcome = Outcome.PLATFORM_ERROR if platform else Outcome.FAILED if failed else Outcome.SUCCEEDED
        reason = answer if isinstance(answer, Reason) else Reason.COMPLETED
        outputs = {} if isinstance(answer, Reason) else {name: self.keep(data) for name, data in answer.items()}
        verdict = Verdict(step=work.steps[-1].name, reason=reason, wall_seconds=0.1)
        self.results[work.id] = WorkResult(
            id=work.id, kind=work.kind, outcome=outcome, verdicts=(verdict,), outputs=outputs
        )

    def keep(self, data: Strict | bytes) -> str:
        raw = data if isinstance(data, bytes) else json.dumps(data.to_wire()).encode()
        self.artifacts[digest_of(raw)] = raw
        return digest_of(raw)

    def read(self, work: Work, name: str) -> bytes:
        return self.artifacts[next(one.digest for one in work.inputs if one.name == name)]

    def unknown(self, work: Work) -> Answer:
        raise AssertionError(f"no answer for {work.kind}")

    def answer_inspect(self, work: Work) -> Answer:
        facts = DataFacts(
            samples=1797,
            classes=10,
            input_shape=(64,),
            train_samples_per_client=(50,) * 20,
            labels_per_client=(2,) * 20,
            label_skew=0.8,
            feature_shift=0.0,
        )
        return {"facts.json": facts}

    def answer_plan(self, work: Work) -> Answer:
        plan = SearchPlan(
            summary="try",
            model=ModelSpec(architecture=Architecture.SOFTMAX, hidden=()),
            baselines=(idea("fedavg"), idea("fedprox")),
            candidates=(idea("scaffold"),),
            criteria=("novelty",),
        )
        return {"plan.json": PlanOutput(plan=plan)}

    def answer_code(self, work: Work) -> Answer:
        order = CodeInput.model_validate_json(self.read(work, "code-input.json"))
        return {"code.json": CodeOutput(code=CandidateCode(files={"strategy.py": f"# {order.method} {order.title}"}))}

    def answer_test(self, work: Work) -> Answer:
        return {"test-report.json": TestReport(passed=True)}

    def answer_tune(self, work: Work) -> Answer:
        order = TuneInput.model_validate_json(self.read(work, "tune-input.json"))
        grid = order.hyperparameters[0].grid[len(order.finished) :][: order.trials]
        return {"tune.json": TuneOutput(trials=tuple({"lr": value} for value in grid))}

    def answer_reflect(self, work: Work) -> Answer:
        order = ReflectInput.model_validate_json(self.read(work, "reflect-input.json"))
        return {
            "reflect.json": ReflectOutput(
                proposals=tuple(idea("fedadam", f"variant {n}") for n in range(order.proposals))
            )
        }

    def answer_review(self, work: Work) -> Answer:
        order = ReviewInput.model_validate_json(self.read(work, "review-input.json"))
        grades = tuple(Grade(proposal=n, dimension="novelty", score=1 / (n + 1)) for n in range(len(order.proposals)))
        return {"review.json": ReviewOutput(grades=grades)}

    def accuracy(self, work: Work, spec: JudgeSpec) -> float:
        method = json.loads(self.read(work, "code.json"))["files"]["strategy.py"].split()[1]
        noise = ((spec.seed * 7919 + len(method) * 31) % 100) / 1e5
        return self.quality[method] + noise - abs(spec.hyperparameters.get("lr", 0.1) - 0.1) / 10 - 0.05 / spec.rounds

    def answer_judge(self, work: Work) -> Answer:
        spec = JudgeSpec.model_validate_json(self.read(work, "judge.json"))
        metrics = self.metrics(work, spec)
        curve = tuple(self.point(work, spec, rounds) for rounds in evaluated_rounds(spec))
        return {"score.json": Score(ok=True, metrics=metrics, curve=curve)}

    def metrics(self, work: Work, spec: JudgeSpec) -> dict[str, float]:
        value = self.accuracy(work, spec)
        return {"Accuracy/Global": value, "Accuracy/PerClient": value - 0.1, "UploadMebibytes/Global": 1.0}

    def point(self, work: Work, spec: JudgeSpec, rounds: int) -> CurvePoint:
        value = self.accuracy(work, spec.model_copy(update={"rounds": rounds}))
        return CurvePoint(
            round=rounds, accuracy=value, client_accuracy=value - 0.1, upload_mebibytes=1.0, simulated_seconds=1.0
        )

    def answer_verify(self, work: Work) -> Answer:
        """The same run again."""
        spec = JudgeSpec.model_validate_json(self.read(work, "judge.json"))
        metrics = self.metrics(work, spec)
        return {"score.json": Score(ok=True, metrics=metrics, largest_difference=0.0)}

    def answer_decide(self, work: Work) -> Answer:
        """The best mean wins; the statistics themselves are tested where they live."""
        order = DecideInput.model_validate_json(self.read(work, "decide.json"))
        means = {
            one.candidate: sum(s.metrics["Accuracy/Global"] for s in one.scores) / len(one.scores)
            for one in order.finalists
        }
        baseline = order.finalists[0].candidate
        best = max(
            (one.candidate for one in order.finalists if one.role == "Finalist"),
            key=means.__getitem__,
            default=None,
        )
        winner = best if best and means[best] > means[baseline] + 0.005 else None
        return {"decision.json": Decision(winner=winner, reason="by the mean", baseline=baseline, objective=())}

    def answer_package(self, work: Work) -> Answer:
        return {"app.zip": b"PK"}

    def answer_deploy(self, work: Work) -> Answer:
        rounds = tuple(RoundMetrics(round=n, clients=3, accuracy=0.5) for n in range(1, 4))
        return {"model.npz": b"npz", "metrics.json": DeploymentMetrics(run="1", rounds=rounds)}

    def answer_report(self, work: Work) -> Answer:
        return {"report.html": b"<html>"}

    def answer_learn(self, work: Work) -> Answer:
        return {"lessons.json": b"[]"}
