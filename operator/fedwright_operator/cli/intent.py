"""Verbs of a person: each writes one field of intent in a spec and nothing else, whoever drives the home meanwhile."""

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from fedwright_crds.deployment import Deployment, DeploymentPhase
from fedwright_crds.request import Answer, Approval, FLStrategyRequest, Question, RequestPhase, RequestSpec, Stage
from fedwright_operator.cli.ending import Refusal
from fedwright_operator.cli.lookup import called, existing, one_named, request_named, store_of
from fedwright_operator.cli.manifest import revalidated
from fedwright_operator.cli.options import DEFAULT_HOME, HomeFolder, Namespace, RequestName, home_at
from fedwright_operator.local.store import Store
from fedwright_operator.shell.kinds import R

Reason = Annotated[str, typer.Option("--reason", help="Why, for the record.")]


def answer(
    name: RequestName,
    answers: Annotated[list[str], typer.Argument(metavar="QUESTION=ANSWER...", help="An answer to a question.")],
    home: HomeFolder = DEFAULT_HOME,
    namespace: Namespace = "default",
) -> None:
    """Answer the planner's questions.

    Example: fedwright answer digits-noniid priority=accuracy --home demo
    """
    store = store_of(home_at(home))
    request = request_named(store, name, namespace)
    given = tuple(_answer(request, one) for one in answers)
    asked = {one.question for one in given}
    _edit_spec(
        store,
        request,
        lambda spec: {"answers": (*(one for one in spec.answers if one.question not in asked), *given)},
    )
    print(f"{called(request)} answered: {', '.join(one.question for one in given)}")


def approve(
    name: RequestName, home: HomeFolder = DEFAULT_HOME, namespace: Namespace = "default", reason: Reason = ""
) -> None:
    """Approve what a request waits for: its plan, or its winner's promotion.

    Example: fedwright approve digits-noniid --home demo
    """
    _decide(name, home, namespace, approved=True, reason=reason)


def reject(
    name: RequestName, home: HomeFolder = DEFAULT_HOME, namespace: Namespace = "default", reason: Reason = ""
) -> None:
    """Reject what a request waits for. The request then fails, and says why.

    Example: fedwright reject digits-noniid --reason "too many parameters" --home demo
    """
    _decide(name, home, namespace, approved=False, reason=reason)


def promote(
    name: RequestName, home: HomeFolder = DEFAULT_HOME, namespace: Namespace = "default", reason: Reason = ""
) -> None:
    """Approve the winner's promotion to a federation.

    Example: fedwright promote digits-noniid --home demo
    """
    _decide(name, home, namespace, approved=True, reason=reason, only=Stage.PROMOTION)


def abort(
    words: Annotated[list[str], typer.Argument(metavar="[KIND] NAME", help="A request or a deployment.")],
    home: HomeFolder = DEFAULT_HOME,
    namespace: Namespace = "default",
) -> None:
    """End a request or a deployment. Its work is stopped; what was found stays.

    Example: fedwright abort digits-noniid --home demo
    """
    store = store_of(home_at(home))
    resource = _request_or_deployment(store, words, namespace)
    if resource.status.phase.terminal:
        raise Refusal(f"{called(resource)} is {resource.status.phase} already; there is nothing to abort")
    _edit_spec(store, resource, lambda _spec: {"abort": True})
    print(f"{called(resource)} will be aborted")


def retry(
    words: Annotated[list[str], typer.Argument(metavar="[KIND] NAME", help="A request or a deployment.")],
    home: HomeFolder = DEFAULT_HOME,
    namespace: Namespace = "default",
) -> None:
    """Try again what failed; what has finished is not done twice. Go on with `fedwright run NAME`.

    Example: fedwright retry digits-noniid --home demo
    """
    store = store_of(home_at(home))
    resource = _request_or_deployment(store, words, namespace)
    if str(resource.status.phase) != "Failed":
        raise Refusal(f"{called(resource)} is {resource.status.phase}, not Failed; there is nothing to retry")
    token = secrets.token_hex(8)
    deployment = store.get(Deployment, resource.metadata.name, namespace)
    if deployment and deployment.status.phase is DeploymentPhase.FAILED:
        _edit_spec(store, deployment, lambda _spec: {"abort": False, "retry_token": token})
    if isinstance(resource, FLStrategyRequest):
        _edit_spec(store, resource, lambda _spec: {"abort": False, "retry_token": token})
    print(f"{called(resource)} will be tried again")


# -- what they share ---------------------------------------------------------------------------------
def _decide(name: str, home: Path, namespace: str, *, approved: bool, reason: str, only: Stage | None = None) -> None:
    store = store_of(home_at(home))
    request = request_named(store, name, namespace)
    stage, digest = _asked(request)
    if only and stage is not only:
        raise Refusal(f"{called(request)} waits for approval of its {str(stage).lower()}; use approve or reject")
    word = Approval(stage=stage, digest=digest, approved=approved, reason=reason)
    _edit_spec(store, request, lambda spec: {"approvals": (*_others(spec, word), word)})
    print(f"{called(request)} {'approved' if approved else 'rejected'}: {str(stage).lower()} {digest[:19]}")


def _asked(request: FLStrategyRequest) -> tuple[Stage, str]:
    """What waits for a person's word, by the digest that the status shows."""
    status = request.status
    if status.phase is RequestPhase.AWAITING_APPROVAL and status.plan:
        return Stage.PLAN, status.plan
    if status.phase is RequestPhase.AWAITING_PROMOTION and status.package:
        return Stage.PROMOTION, status.package
    raise Refusal(f"{called(request)} is {status.phase} and waits for no approval; see `fedwright describe`")


def _others(spec: RequestSpec, word: Approval) -> tuple[Approval, ...]:
    return tuple(one for one in spec.approvals if (one.stage, one.digest) != (word.stage, word.digest))


def _answer(request: FLStrategyRequest, text: str) -> Answer:
    question, given, words = text.partition("=")
    asked: dict[str, Question] = {one.id: one for one in request.status.questions}
    if not given or question not in asked:
        known = ", ".join(asked) or "none is open"
        raise Refusal(f"{text!r} is not QUESTION=ANSWER for an open question of {called(request)}: {known}")
    options = asked[question].options
    if options and words not in options:
        raise Refusal(f"{question}: {words!r} is no option; choose one of {', '.join(options)}")
    return Answer(question=question, answer=words)


def _request_or_deployment(store: Store, words: list[str], namespace: str) -> FLStrategyRequest | Deployment:
    kind, name = one_named(words)
    resource = existing(store, kind.model, name, namespace)
    if not isinstance(resource, FLStrategyRequest | Deployment):
        raise Refusal(f"{kind.name}: only a request or a deployment can be aborted or tried again")
    return resource


def _edit_spec(store: Store, resource: R, changes: Callable[..., dict[str, object]]) -> None:
    def change(present: R) -> R:
        return revalidated(present, spec=present.spec.model_copy(update=changes(present.spec)))

    store.edit_spec(type(resource), resource.metadata.name, resource.metadata.namespace, change)
