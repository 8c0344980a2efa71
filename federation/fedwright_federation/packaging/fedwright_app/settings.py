"""What was packaged: the task, the model and the hyperparameters that won, and how a run is set up from them."""

import importlib
from dataclasses import dataclass
from pathlib import Path

from fedwright_crds.documents import PackageInput
from fedwright_federation.algorithm import Strategy, on_heads
from fedwright_federation.algorithm.model import Model
from fedwright_federation.algorithm.parts import Training
from fedwright_federation.heads import Heads
from fedwright_federation.models import build_model
from fedwright_federation.simulation.run import RunSpec

from .privacy import protection, secret_of

FILE = "settings.json"


@dataclass(frozen=True)
class Setup:
    """Everything that both sides of a run share."""

    settings: PackageInput
    strategy: Strategy
    model: Model
    run: RunSpec
    heads: Heads


def read_settings() -> PackageInput:
    return PackageInput.model_validate_json(Path(__file__).with_name(FILE).read_bytes())


def set_up(rounds: int, clients: int, folder: Path) -> Setup:
    """The winner, ready to run that many rounds on that many clients. `folder` is this side's for the job."""
    settings = read_settings()
    strategy = importlib.import_module("candidate.strategy").build(dict(settings.hyperparameters))
    heads = heads_of(settings)
    given, private = settings.task.training, protection(settings)
    training = Training(
        rounds=rounds,
        participation=given.participation,
        epochs=given.local_epochs,
        steps=given.local_steps,
        batch_size=given.batch_size,
        weight_decay=given.weight_decay,
    )
    run = RunSpec(
        training=training,
        clients=clients,
        seed=settings.seed,
        salt=settings.salt,
        privacy=private,
        secret=secret_of(folder) if private else 0,
    )
    model = build_model(settings.model, settings.input_shape, settings.classes)
    return Setup(settings, on_heads(strategy, heads), model, run, heads)


def heads_of(settings: PackageInput) -> Heads:
    return Heads(settings.task.outputs(settings.classes))
