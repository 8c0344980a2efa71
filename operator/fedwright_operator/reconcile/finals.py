"""The final of one candidate: the fresh seeds on the test split, then one of them again with a process per client."""

from fedwright_crds.candidate import CandidatePhase
from fedwright_crds.documents import Split
from fedwright_crds.work import Input
from fedwright_operator.reconcile.desk import Unfinished
from fedwright_operator.reconcile.journey import Ended, Pass
from fedwright_operator.reconcile.judging import judge_spec, judged_work, score_of
from fedwright_operator.reconcile.verification import drawn, require_federated


def finals(at: Pass, code: Input) -> None:
    """All seeds are wanted at once; the digests of the scores are what the decision reads."""
    rounds = at.brief.spec.task.training.rounds
    specs = [judge_spec(at, at.journey.final, rounds, seed, Split.TEST) for seed in at.brief.fresh_seeds()]
    results = [at.desk.result(judged_work(at, code, spec)) for spec in specs]
    finished = [one for one in results if one is not None]
    at.journey.judged.update({one.id: rounds for one in finished})
    if len(finished) < len(results):
        raise Unfinished
    scores = [score_of(at.desk, one) for one in finished]
    if bad := next((one for one in scores if not one.ok), None):
        raise Ended(CandidatePhase.REJECTED, "SimulationFailed", f"on a fresh seed: {bad.reason}")
    digests = tuple(one.outputs["score.json"] for one in finished)
    checked = drawn(digests)
    require_federated(at, code, specs[checked], scores[checked])
    at.journey.finals = digests
