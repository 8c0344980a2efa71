"""Given these observations, this plan: the way of a request."""

import json
from dataclasses import replace

import pytest
from world import Answer as Done
from world import World, idea, wish

from fedwright_crds.candidate import CandidatePhase, GrantStage, Range
from fedwright_crds.documents import (
    CandidateCode,
    CheckFailure,
    CodeInput,
    CodeOutput,
    DebugInput,
    Grade,
    JudgeSpec,
    ParentCode,
    PlanOutput,
    Problem,
    ReflectInput,
    ReflectOutput,
    ReviewInput,
    ReviewOutput,
    Score,
    Split,
    TestReport,
)
from fedwright_crds.request import Answer, Approval, Budgets, Question, Stage
from fedwright_crds.work import Reason, Work
from fedwright_operator.reconcile.conditions import condition


def amended(world: World, **spec: object) -> None:
    """A person changes the spec."""
    old = world.request
    meta = old.metadata.model_copy(update={"generation": (old.metadata.generation or 0) + 1})
    world.request = old.model_copy(update={"metadata": meta, "spec": old.spec.model_copy(update=spec)})


def test_the_better_method_wins_and_the_phases_come_in_order() -> None:
    world = World(wish()).run()
    assert world.phases == ["Planning", "Exploring", "Selecting", "Succeeded"]
    assert world.request.status.winner == "wish-scaffold" or world.request.status.winner == "wish-p1"
    assert condition(world.request.status.conditions, "Finished").status == "True"  # type: ignore[union-attr]


def test_equal_methods_end_in_no_improvement() -> None:
    world = World(wish(), quality=dict.fromkeys(["fedavg", "fedprox", "scaffold", "fedadam"], 0.8)).run()
    assert world.request.status.phase == "NoImprovement"
    assert world.request.status.winner == ""


def test_every_pass_is_safe_to_run_again() -> None:
    world = World(wish())
    while world.step():
        for plan in world.plans():
            assert all(work.id not in world.results for work in plan.works)
    assert max(world.started.values()) == 1


def test_a_winner_is_packaged_promoted_and_deployed() -> None:
    world = World(wish(deployment={"nodes": 3, "rounds": 3})).run()
    assert world.phases == ["Planning", "Exploring", "Selecting", "Deploying", "Succeeded"]
    (deployment,) = world.deployments.values()
    assert deployment.metadata.owner_references == ()
    assert deployment.spec.package == world.request.status.package
    assert deployment.status.round == 3


def test_a_plan_waits_for_the_word_on_its_own_digest() -> None:
    world = World(wish(interaction={"questions": "Automatic", "plan": "Required", "promotion": "Automatic"})).run()
    assert world.request.status.phase == "AwaitingApproval"
    assert condition(world.request.status.conditions, "Paused").status == "True"  # type: ignore[union-attr]
    amended(world, approvals=(Approval(stage=Stage.PLAN, digest="sha256:" + "0" * 64, approved=True),))
    assert world.run().request.status.phase == "AwaitingApproval"
    assert world.request.status.plan is not None
    amended(world, approvals=(Approval(stage=Stage.PLAN, digest=world.request.status.plan, approved=True),))
    assert world.run().request.status.phase == "Succeeded"
    assert world.kinds["plan"] == 1


def test_a_rejected_plan_ends_the_request_in_the_persons_words() -> None:
    world = World(wish(interaction={"questions": "Automatic", "plan": "Required", "promotion": "Automatic"})).run()
    assert world.request.status.plan is not None
    amended(
        world,
        approvals=(Approval(stage=Stage.PLAN, digest=world.request.status.plan, approved=False, reason="too dear"),),
    )
    world.run()
    finished = condition(world.request.status.conditions, "Finished")
    assert finished is not None and (finished.reason, finished.message) == ("PlanRejected", "too dear")
    assert not world.candidates


def test_questions_wait_for_answers_and_the_planner_sees_them() -> None:
    def ask_first(world: World, work):  # type: ignore[no-untyped-def]
        if json.loads(world.read(work, "plan-input.json"))["answers"]:
            return world.answer_plan(work)
        return {
            "plan.json": PlanOutput(
                questions=(Question(id="unit", text="Protect whom?", options=("Client",), default="Client"),)
            )
        }

    world = World(wish(interaction={}), script={"plan": ask_first}).run()
    assert world.request.status.phase == "AwaitingAnswers"
    assert world.request.status.questions[0].id == "unit"
    amended(world, answers=(Answer(question="unit", answer="Client"),))
    assert world.run().request.status.phase == "AwaitingApproval"
    automatic = World(wish(), script={"plan": ask_first}).run()
    assert automatic.request.status.phase == "Succeeded"


def test_data_that_refuses_the_request_ends_it_naming_field_and_mend() -> None:
    problem = Problem(
        field="spec.task.clients", message="5000 clients share 1797 samples", mend="lower it to at most 100"
    )
    world = World(wish(), script={"inspect": lambda *_: {"problem.json": problem}}).run()
    finished = condition(world.request.status.conditions, "Finished")
    assert finished is not None and finished.reason == "InvalidRequest"
    assert "spec.task.clients" in finished.message and "lower it" in finished.message
    assert set(world.kinds) == {"inspect"}


def test_a_spec_changed_after_planning_began_ends_the_request_and_starts_nothing() -> None:
    world = World(wish())
    while world.request.status.phase != "Exploring":
        world.step()
    amended(world, goal="something else")
    before = sum(world.started.values())
    world.run()
    assert condition(world.request.status.conditions, "Finished").reason == "SpecChanged"  # type: ignore[union-attr]
    assert sum(world.started.values()) == before


def test_budgets_may_grow_and_no_mind_is_asked_again() -> None:
    world = World(wish())
    while world.request.status.phase != "Exploring":
        world.step()
    amended(world, budgets=Budgets(candidates=20))
    world.run()
    assert world.request.status.phase == "Succeeded"
    assert world.kinds["plan"] == 1


def test_images_that_changed_under_a_request_end_it_rather_than_mix_scores() -> None:
    world = World(wish())
    while world.request.status.phase != "Exploring":
        world.step()
    status = world.request.status
    world.request = world.request.model_copy(
        update={"status": status.model_copy(update={"images": dict.fromkeys(status.images, "sha256:" + "1" * 64)})}
    )
    world.run()
    assert condition(world.request.status.conditions, "Finished").reason == "ImagesChanged"  # type: ignore[union-attr]


def test_work_that_fails_for_good_fails_the_request_and_a_retry_token_tries_it_again() -> None:
    broken = {"decide": lambda *_: Reason.CRASHED}
    world = World(wish(), script=broken).run()
    assert world.request.status.phase == "Failed"
    amended(world, retry_token="again")
    assert world.run().request.status.phase == "Failed"
    assert world.kinds["decide"] == 2, "what fails by itself is tried once a token"
    world.script.clear()
    amended(world, retry_token="and again")
    world.run()
    assert world.request.status.phase == "Succeeded"
    assert world.kinds["decide"] == 3 and world.kinds["plan"] == 1


def test_the_platforms_failures_are_tried_again_within_a_bound() -> None:
    failures = iter([Reason.PLATFORM, Reason.PLATFORM])
    world = World(wish())
    world.script["plan"] = lambda w, work: next(failures, None) or w.answer_plan(work)
    assert world.run().request.status.phase == "Succeeded"
    assert world.kinds["plan"] == 3
    hopeless = World(wish(), script={"plan": lambda *_: Reason.PLATFORM}).run()
    assert hopeless.request.status.phase == "Failed"
    assert hopeless.kinds["plan"] == 3


def test_abort_stops_every_candidate() -> None:
    world = World(wish())
    while not any(one.status.phase == "Simulating" for one in world.candidates.values()):
        world.step()
    amended(world, abort=True)
    world.run()
    assert world.request.status.phase == "Failed"
    assert all(one.status.phase.terminal for one in world.candidates.values())


def test_only_the_committees_best_are_written() -> None:
    world = World(wish()).run()
    proposals = [one for one in world.candidates.values() if one.spec.generation == 1]
    assert [one.status.phase for one in sorted(proposals, key=lambda one: one.metadata.name)] == [
        CandidatePhase.SCORED,
        CandidatePhase.NOT_SELECTED,
    ]
    assert all(one.spec.grant.stage in {GrantStage.JUDGE, GrantStage.FINAL, GrantStage.STOP} for one in proposals)


def reflected_from(world: World) -> list[ReflectInput]:
    """What the reflector is asked, with proposals that start from the plan's candidate."""
    asked: list[ReflectInput] = []

    def answer(world: World, work: Work) -> Done:
        asked.append(ReflectInput.model_validate_json(world.read(work, "reflect-input.json")))
        proposals = tuple(idea("fedadam", f"variant {n}", parent="wish-p1") for n in range(asked[-1].proposals))
        return {"reflect.json": ReflectOutput(proposals=proposals)}

    world.script["reflect"] = answer
    world.run()
    return asked


def test_a_reflector_sees_each_candidates_trials_and_its_way_to_the_score() -> None:
    for scope in ("Global", "PerClient"):
        (asked,) = reflected_from(World(wish(objective={"metric": "Accuracy", "scope": scope})))
        scored = [one for one in asked.outcomes if one.score is not None]
        assert scored and all([at.round for at in one.curve] == [2, 4, 6, 8] for one in scored)
        accuracies = [at.accuracy for at in scored[0].curve]
        assert accuracies == sorted(accuracies) and len(set(accuracies)) == 4
        last = scored[0].measures["Accuracy/Global"] - (0.1 if scope == "PerClient" else 0.0)
        assert accuracies[-1] == pytest.approx(last)
        assert all({trial.rounds for trial in one.trials} == {2, 8} for one in scored)


def parents_seen(world: World) -> dict[str, ParentCode | None]:
    """What each candidate's coder is told that it starts from, by title; filled as the world runs."""
    seen: dict[str, ParentCode | None] = {}

    def answer(world: World, work: Work) -> Done:
        order = CodeInput.model_validate_json(world.read(work, "code-input.json"))
        seen[order.title] = order.parent
        return world.answer_code(work)

    world.script["code"] = answer
    return seen


def scaffold_fails(world: World, work: Work) -> Done:
    """Every draft that speaks of SCAFFOLD fails its tests."""
    bad = "scaffold" in world.read(work, "code.json").decode()
    failures = (CheckFailure(check="Shape", message="no such shape"),) if bad else ()
    return {"test-report.json": TestReport(passed=not bad, failures=failures)}


def test_a_coder_sees_the_code_that_its_candidate_starts_from() -> None:
    world = World(wish())
    seen = parents_seen(world)
    reflected_from(world)
    parent = seen.pop("variant 0") or seen.pop("variant 1")
    assert parent is not None and parent.title == "scaffold"
    assert parent.code.files == {"strategy.py": "# scaffold scaffold"}
    assert set(seen.values()) == {None}


def test_a_debugger_knows_how_many_mends_are_left() -> None:
    left: list[int] = []

    def mend(world: World, work: Work) -> Done:
        order = DebugInput.model_validate_json(world.read(work, "debug-input.json"))
        left.append(order.left)
        code = CandidateCode(files={"strategy.py": f"# scaffold draft {order.attempt}"})
        return {"debug.json": CodeOutput(code=code)}

    search = {"debugAttempts": 3, "trials": 3, "proposals": 0}
    World(wish(search=search), script={"debug": mend, "test": scaffold_fails}).run()
    assert left == [2, 1, 0]


def test_a_coder_that_goes_on_from_a_rejected_draft_sees_it_and_what_failed() -> None:
    search = {"debugAttempts": 0, "trials": 3, "proposals": 2, "topK": 1, "generations": 1}
    world = World(wish(search=search), script={"test": scaffold_fails})
    seen = parents_seen(world)
    reflected_from(world)
    assert world.candidates["wish-p1"].status.phase is CandidatePhase.REJECTED
    (parent,) = [one for title, one in seen.items() if title.startswith("variant")]
    assert parent is not None and parent.failure == "Shape: no such shape"
    assert parent.code.files == {"strategy.py": "# scaffold scaffold"}


def test_what_a_candidates_code_does_otherwise_stands_in_its_status_and_reaches_the_reflector() -> None:
    def answer(world: World, work: Work) -> Done:
        output = world.answer_code(work)["code.json"]
        assert isinstance(output, CodeOutput)
        return {"code.json": output.model_copy(update={"deviation": "a mean in place of a median"})}

    world = World(wish(), script={"code": answer})
    (asked,) = reflected_from(world)
    assert world.candidates["wish-p1"].status.deviation == "a mean in place of a median"
    assert {one.deviation for one in asked.outcomes} == {"a mean in place of a median"}


def test_a_reviewer_has_one_vote_for_each_proposal_and_criterion() -> None:
    """One of three praises the second proposal fifty times, and in dimensions that nobody asked for."""

    def review(world: World, work):  # type: ignore[no-untyped-def]
        output = world.answer_review(work)["review.json"]
        if ReviewInput.model_validate_json(world.read(work, "review-input.json")).reviewer:
            return {"review.json": output}
        praise = [
            Grade(proposal=1, dimension=name, score=1.0) for name in ["novelty"] * 50 + [f"d{n}" for n in range(50)]
        ]
        blame = [one.model_copy(update={"proposal": 0, "score": 0.0}) for one in praise]
        return {"review.json": ReviewOutput(grades=(*output.grades, *praise, *blame))}

    chosen = World(wish(), script={"review": review}).run().candidates
    assert chosen["wish-g1-1"].status.phase is CandidatePhase.SCORED
    assert chosen["wish-g1-2"].status.phase is CandidatePhase.NOT_SELECTED


def test_the_budget_of_candidates_is_kept() -> None:
    world = World(wish(budgets={"candidates": 2})).run()
    assert sorted(world.candidates) == ["wish-fedavg", "wish-p1"]


def test_when_the_time_for_exploring_is_over_the_scored_go_on_to_the_final() -> None:
    world = World(wish(budgets={"wallSeconds": 30})).run()
    assert world.request.status.phase in {"Succeeded", "NoImprovement", "Failed"}
    assert any("wallSeconds" in one.spec.grant.reason for one in world.candidates.values())


def test_a_finalist_that_is_not_federated_loses_its_place() -> None:
    def verify(world: World, work):  # type: ignore[no-untyped-def]
        cheats = "scaffold" in json.loads(world.read(work, "code.json"))["files"]["strategy.py"]
        return {"score.json": Score(ok=not cheats, reason="NotFederated: answers differ by 0.2" if cheats else "")}

    world = World(wish(), script={"verify": verify}).run()
    assert world.candidates["wish-p1"].status.phase == "Rejected"
    assert "NotFederated" in condition(world.candidates["wish-p1"].status.conditions, "Finished").reason  # type: ignore[union-attr]
    assert "g1" in world.request.status.winner
    assert world.kinds["reflect"] == 1, "what happens in the final asks no mind again"


def test_a_finalist_that_was_better_while_nobody_counted_loses_its_place() -> None:
    def verify(world: World, work):  # type: ignore[no-untyped-def]
        score = world.answer_verify(work)["score.json"]
        if "scaffold" in json.loads(world.read(work, "code.json"))["files"]["strategy.py"]:
            score = score.model_copy(update={"metrics": {**score.metrics, "Accuracy/Global": 0.5}})
        return {"score.json": score}

    world = World(wish(), script={"verify": verify}).run()
    finished = condition(world.candidates["wish-p1"].status.conditions, "Finished")
    assert finished and finished.reason == "NotFederated" and "is 0.5 on the same seed" in finished.message
    assert "g1" in world.request.status.winner


def test_what_is_checked_is_a_fresh_seed_at_full_length() -> None:
    seen: list[JudgeSpec] = []

    def verify(world: World, work):  # type: ignore[no-untyped-def]
        seen.append(JudgeSpec.model_validate_json(world.read(work, "judge.json")))
        return world.answer_verify(work)

    world = World(wish(), script={"verify": verify}).run()
    rounds = world.request.spec.task.training.rounds
    assert seen and all(one.rounds == rounds and one.split is Split.TEST and one.sequential for one in seen)
    assert all(one.seed >= 1000 for one in seen)


def exploring(world: World) -> World:
    """Steps until candidates are being tried."""
    while world.request.status.phase != "Exploring" or not any(one.status.trials for one in world.candidates.values()):
        assert world.step()
    return world


def test_what_an_abort_stopped_goes_on_when_it_is_tried_again_and_ends_as_if_unbroken() -> None:
    world = exploring(World(wish()))
    amended(world, abort=True)
    assert world.run().request.status.phase == "Failed"
    assert {str(one.status.phase) for one in world.candidates.values()} <= {"NotSelected", "Scored"}
    amended(world, abort=False, retry_token="again")
    unbroken = World(wish()).run().request.status
    assert world.run().request.status.winner == unbroken.winner
    assert world.request.status.best_score == unbroken.best_score
    assert max(world.started.values()) == 1


def test_an_end_forgets_neither_the_frozen_spec_nor_the_images() -> None:
    world = exploring(World(wish()))
    frozen, images = world.request.status.frozen_spec, world.request.status.images
    assert frozen and images
    amended(world, abort=True)
    world.run()
    assert (world.request.status.frozen_spec, world.request.status.images) == (frozen, images)
    amended(world, abort=False, retry_token="again", goal="another")
    assert condition(world.run().request.status.conditions, "Finished").reason == "SpecChanged"  # type: ignore[union-attr]


def test_a_grant_only_grows_whatever_happens() -> None:
    """As the rule of the CRD has it; the API server would refuse the pass."""
    order, granted = list(GrantStage), dict[str, int]()
    world = World(wish())
    for step in range(5000):
        if step == 30:
            amended(world, abort=True)
        if step == 40:
            amended(world, abort=False, retry_token="again")
        busy = world.step()
        for name, one in world.candidates.items():
            now = order.index(one.spec.grant.stage)
            assert now >= granted.get(name, 0), f"{name} fell to {one.spec.grant.stage} in step {step}"
            granted[name] = now
        if not busy and step > 40:
            break
    assert world.request.status.phase == "Succeeded"


def test_a_deployment_that_is_about_to_be_tried_again_does_not_fail_its_request_again() -> None:
    world = World(
        wish(deployment={"nodes": 3, "rounds": 3}), script={"deploy": lambda _world, _work: Reason.DEADLINE_EXCEEDED}
    ).run()
    assert condition(world.request.status.conditions, "Finished").reason == "DeploymentFailed"  # type: ignore[union-attr]
    del world.script["deploy"]
    (name, deployment) = next(iter(world.deployments.items()))
    spec = deployment.spec.model_copy(update={"retry_token": "again"})
    world.deployments[name] = deployment.model_copy(update={"spec": spec})
    amended(world, retry_token="again")
    assert world.run().request.status.phase == "Succeeded"


def test_a_candidate_that_fails_every_test_is_rejected_and_the_request_goes_on() -> None:
    def tests(world: World, work):  # type: ignore[no-untyped-def]
        if "scaffold" in json.loads(world.read(work, "code.json"))["files"]["strategy.py"]:
            return Reason.OUT_OF_MEMORY
        return {"test-report.json": TestReport(passed=True)}

    def mend(world: World, work):  # type: ignore[no-untyped-def]
        attempt = json.loads(world.read(work, "debug-input.json"))["attempt"]
        return _draft(attempt)

    world = World(wish(), script={"test": tests, "debug": mend}).run()
    rejected = world.candidates["wish-p1"].status
    assert rejected.phase == "Rejected" and len(rejected.attempts) == 5
    assert "OutOfMemory" in rejected.attempts[0].failure
    assert world.request.status.phase == "Succeeded"


def _draft(attempt: int):  # type: ignore[no-untyped-def]
    from fedwright_crds.documents import CandidateCode, CodeOutput

    return {"debug.json": CodeOutput(code=CandidateCode(files={"strategy.py": f"# scaffold draft {attempt}"}))}


def test_fewer_bytes_count_only_within_the_accuracy_margin() -> None:
    def judge(world: World, work):  # type: ignore[no-untyped-def]
        spec = json.loads(world.read(work, "judge.json"))
        method = json.loads(world.read(work, "code.json"))["files"]["strategy.py"].split()[1]
        sizes = {"fedavg": 10.0, "fedprox": 10.0, "scaffold": 1.0, "fedadam": 2.0}
        accuracy = {"fedavg": 0.9, "fedprox": 0.9, "scaffold": 0.5, "fedadam": 0.895}[method] + spec["seed"] % 7 / 1e4
        return {
            "score.json": Score(ok=True, metrics={"Accuracy/Global": accuracy, "UploadMebibytes/Global": sizes[method]})
        }

    request = wish(objective={"metric": "UploadMebibytes"}, constraints=[{"metric": "Accuracy", "margin": 0.02}])
    world = World(request, script={"judge": judge})
    world.run()
    assert world.candidates["wish-p1"].status.violation > 0
    assert "g1" in world.request.status.best_candidate


@pytest.mark.parametrize("cascade", [True, False])
def test_the_first_rung_is_short_only_in_a_cascade(cascade: bool) -> None:
    world = World(wish(judging={"cascade": cascade})).run()
    rounds = {one.rounds for one in world.candidates["wish-fedavg"].status.trials}
    assert rounds == ({2, 8} if cascade else {8})


def test_a_seed_is_never_selected_on_and_judged_on() -> None:
    world = World(wish()).run()
    seeds: dict[str, set[int]] = {"Selection": set(), "Test": set()}
    for data in world.artifacts.values():
        if b'"split":' in data:
            spec = json.loads(data)
            seeds[spec["split"]].add(spec["seed"])
    assert seeds["Selection"] and len(seeds["Test"]) == 10 and not seeds["Selection"] & seeds["Test"]


def test_status_never_goes_back_once_terminal() -> None:
    world = World(wish()).run()
    status = world.request.status
    world.results.clear()
    assert not world.step()
    assert world.request.status == status
    assert replace(world).request.status.finished_at is not None


def test_among_equals_the_plain_method_wins_and_its_double_takes_no_second_place() -> None:
    world = World(wish(), quality={"fedavg": 0.8, "fedprox": 0.9, "scaffold": 0.9, "fedadam": 0.85})

    def judge(world: World, work):  # type: ignore[no-untyped-def]
        spec = json.loads(world.read(work, "judge.json"))
        method = json.loads(world.read(work, "code.json"))["files"]["strategy.py"].split()[1]
        return {
            "score.json": Score(ok=True, metrics={"Accuracy/Global": world.quality[method] + spec["seed"] % 7 / 1e4})
        }

    world.script["judge"] = judge
    world.run()
    finals = {name for name, one in world.candidates.items() if one.status.finals}
    assert world.request.status.winner == "wish-fedprox"
    assert finals == {"wish-fedavg", "wish-fedprox", "wish-g1-1"}


def test_nobody_wins_by_a_learning_rate_that_fedavg_could_have_had() -> None:
    """FedAvg is tuned to a worse learning rate than its rival, which is no better at the same one."""

    def plan(world: World, work):  # type: ignore[no-untyped-def]
        made = world.answer_plan(work)["plan.json"].plan  # type: ignore[union-attr, index]
        worse, better = (Range(name="lr", default=value, grid=(value,)) for value in (0.3, 0.1))
        baselines = (made.baselines[0].model_copy(update={"hyperparameters": (worse,)}),)
        rivals = (made.candidates[0].model_copy(update={"hyperparameters": (better,)}),)
        return {"plan.json": PlanOutput(plan=made.model_copy(update={"baselines": baselines, "candidates": rivals}))}

    same = dict.fromkeys(["fedavg", "scaffold"], 0.8)
    world = World(wish(search={"trials": 1, "generations": 0}), quality=same, script={"plan": plan}).run()
    fedavg = world.candidates["wish-fedavg"].status
    assert (fedavg.best["lr"], fedavg.final["lr"]) == (0.3, 0.1)
    assert world.request.status.phase == "NoImprovement"
