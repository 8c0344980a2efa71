"""Templates are candidates: each passes the static checks, the template's own tests and every contract test."""

import pytest

from fedwright_agents.knowledge.entries import Kind
from fedwright_agents.knowledge.shipped import shipped_entries
from fedwright_crds.documents import CandidateCode, Contract
from fedwright_crds.task import Data, DataSource, DeviceProfile, Devices, ModelSpec, Task
from fedwright_federation.algorithm import Strategy
from fedwright_federation.candidates.loader import load_strategy
from fedwright_federation.candidates.test_program import report

TEMPLATES = {entry.id: entry for entry in shipped_entries() if entry.kind is Kind.TEMPLATE}
OWN_TESTS = TEMPLATES["template/tests"].code
CONTRACT = Contract(
    model=ModelSpec(hidden=(8, 6), batch_norm=True),
    task=Task(data=Data(source=DataSource.DIGITS), devices=Devices(profile=DeviceProfile.STRAGGLERS)),
    input_shape=(8, 8),
    classes=10,
    hyperparameters={"lr": 0.1},
)


@pytest.mark.parametrize("id", sorted(TEMPLATES.keys() - {"template/tests"}))
def test_a_template_passes_what_candidates_must_pass(id):
    code = CandidateCode(files={"strategy.py": TEMPLATES[id].code, "test_strategy.py": OWN_TESTS})
    found = report(code, CONTRACT)
    assert found.failures == ()
    assert found.passed


@pytest.mark.parametrize("id", sorted(TEMPLATES.keys() - {"template/tests"}))
def test_a_template_departs_from_fedavg_in_the_slots_that_it_shows(id):
    plain = dict(Strategy().parts())
    strategy = load_strategy(CandidateCode(files={"strategy.py": TEMPLATES[id].code}), {})
    departs = {slot for slot, part in strategy.parts() if type(part) is not type(plain.get(slot))}
    assert not TEMPLATES[id].facets.slots or departs & set(TEMPLATES[id].facets.slots)
