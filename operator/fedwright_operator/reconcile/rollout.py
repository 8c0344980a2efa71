"""From the finalists' figures to a running strategy: the decision, the package, the deployment."""

from collections.abc import Mapping, Sequence

from fedwright_crds.base import Digest
from fedwright_crds.candidate import Candidate
from fedwright_crds.deployment import Deployment, DeploymentPhase, DeploymentSpec
from fedwright_crds.documents import (
    DataFacts,
    DecideInput,
    Decision,
    Finalist,
    PackageInput,
    Score,
)
from fedwright_crds.documents import Plan as SearchPlan
from fedwright_crds.federation import Federation, FederationSpec, NodeData, NodeGroup
from fedwright_crds.judging_work import decide_work
from fedwright_crds.meta import Metadata, Resource
from fedwright_crds.request import FLStrategyRequest
from fedwright_crds.task import Task
from fedwright_crds.work import BoxKind, Input
from fedwright_operator.reconcile import works
from fedwright_operator.reconcile.api import Observed
from fedwright_operator.reconcile.conditions import condition
from fedwright_operator.reconcile.desk import Desk, Unfinished
from fedwright_operator.reconcile.standings import Choice

Images = Mapping[BoxKind, Digest]


# -- decide -----------------------------------------------------------------------------------------------------------
def decide(
    request: FLStrategyRequest, choice: Choice, candidates: Sequence[Candidate], images: Images, desk: Desk
) -> tuple[Decision, Digest]:
    """The judge's word on the fresh seeds."""
    by_name = {one.metadata.name: one for one in candidates}
    document = DecideInput(
        objective=request.spec.objective,
        constraints=request.spec.constraints,
        level=request.spec.judging.level,
        finalists=tuple(_finalist(by_name[name], role, choice, desk) for name, role in _roles(choice)),
    )
    result = desk.succeeded(decide_work(desk.put("decide.json", document), images))
    return desk.document(Decision, result, "decision.json"), result.outputs["decision.json"]


def _roles(choice: Choice) -> list[tuple[str, str]]:
    roles = [(choice.baseline, "Baseline")]
    if choice.catalogue and choice.catalogue not in choice.finalists:
        roles.append((choice.catalogue, "BestCatalogue"))
    return roles + [(name, "Finalist") for name in choice.finalists]


def _finalist(candidate: Candidate, role: str, choice: Choice, desk: Desk) -> Finalist:
    scores = [Score.model_validate_json(desk.read(digest)) for digest in candidate.status.finals]
    return Finalist.model_validate(
        {
            "candidate": candidate.metadata.name,
            "title": candidate.spec.title,
            "role": role,
            "hyperparameters": candidate.status.final,
            "scores": tuple(scores),
            "federated": candidate.status.federated,
            "also_catalogue": candidate.metadata.name == choice.catalogue,
        }
    )


# -- package and deploy -----------------------------------------------------------------------------------------------
def package(
    request: FLStrategyRequest,
    winner: Candidate,
    plan: SearchPlan,
    facts: DataFacts,
    images: Images,
    desk: Desk,
) -> Digest:
    """The winner as a Flower app, by digest."""
    document = PackageInput(
        name=winner.metadata.name,
        title=winner.spec.title,
        request=request.metadata.name,
        task=fleet_task(request),
        model=plan.model,
        hyperparameters=winner.status.final,
        salt=winner.spec.salt,
        privacy=request.spec.privacy,
        seed=request.spec.judging.seed,
        rounds=request.spec.deployment.rounds,
        input_shape=facts.input_shape,
        classes=facts.classes,
    )
    assert winner.status.code is not None
    code = Input(name="code.json", digest=winner.status.code)
    result = desk.succeeded(works.package_work(desk.put("package.json", document), code, images))
    return result.outputs["app.zip"]


def children(observed: Observed[FLStrategyRequest], package: Digest) -> list[Resource]:
    """The Deployment, and a Federation where the request names none. Promoted, they belong to no one but themselves."""
    request = observed.resource
    template, meta = request.spec.deployment, request.metadata
    made: list[Resource] = []
    name = template.federation
    if name is None:
        name = f"{meta.name}-fleet"
        if observed.federation is None:
            made.append(_fleet(request, name))
    spec = DeploymentSpec(federation=name, package=package, rounds=template.rounds)
    if observed.deployment:  # a person's words on it stay
        said = observed.deployment.spec
        spec = spec.model_copy(update={"abort": said.abort, "retry_token": said.retry_token})
    labels = {"fedwright.dev/request": meta.name}
    made.append(
        Deployment(
            metadata=Metadata(name=deployment_name(request), namespace=meta.namespace, labels=labels),
            spec=spec,
        )
    )
    return made


def deployment_name(request: FLStrategyRequest) -> str:
    return request.metadata.name


def _fleet(request: FLStrategyRequest, name: str) -> Federation:
    """A fleet for trying out, whose nodes each hold one shard of the request's own task."""
    group = NodeGroup(name="nodes", nodes=request.spec.deployment.nodes, data=NodeData(task=fleet_task(request)))
    labels = {"fedwright.dev/request": request.metadata.name}
    return Federation(
        metadata=Metadata(name=name, namespace=request.metadata.namespace, labels=labels),
        spec=FederationSpec(groups=(group,)),
    )


def fleet_task(request: FLStrategyRequest) -> Task:
    """The task as the fleet runs it: its own number of clients, its own share of them in a round."""
    template, task = request.spec.deployment, request.spec.task
    training = task.training.model_copy(update={"participation": template.participation})
    return task.model_copy(update={"clients": template.nodes, "training": training})


def deployed(deployment: Deployment | None, package: Digest) -> str:
    """Why the deployment failed, or nothing when it succeeded; Unfinished until then."""
    if deployment is None or deployment.spec.package != package or not deployment.status.phase.terminal:
        raise Unfinished
    if deployment.spec.retry_token != deployment.status.retry_token:
        raise Unfinished  # it is about to be tried again
    if deployment.status.phase is DeploymentPhase.SUCCEEDED:
        return ""
    finished = condition(deployment.status.conditions, "Finished")
    return finished.message if finished and finished.message else "the deployment failed"
