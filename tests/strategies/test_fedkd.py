"""FedKD: a private teacher, a shared student, and updates as truncated singular values."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from federations import Net, accuracy, batches, close, digits, federate, iid, prepare, spec, tensors, tiny

from fedwright_federation.algorithm import IllegalStrategyError, Step, require_legal
from fedwright_federation.models import Cnn, Mlp
from fedwright_federation.parts.distillation import MutualDistillation, TeacherAndStudent
from fedwright_federation.parts.lowrank import LowRank, rank_for
from fedwright_federation.strategies.fedavg import fedavg
from fedwright_federation.strategies.fedkd import fedkd

MODEL, STUDENT = Mlp((6,), 3, (10,)), Mlp((6,), 3, (5,))
RNG = np.random.default_rng(0)


def test_without_distillation_or_truncation_the_student_is_fedavg() -> None:
    run, shards = spec(), tiny()
    plain = fedkd(0.2, distillation=0.0, first_energy=1.0, last_energy=1.0)
    found = federate(plain, MODEL, shards, run).server.x
    student = {key: value for key, value in found.items() if not key.startswith("teacher.")}
    assert close(student, federate(fedavg(0.2), STUDENT, shards, run).server.x, 1e-5)


def test_without_distillation_a_teacher_trains_alone() -> None:
    """Its steps go on from round to round as if the client had never met anyone."""
    run, shards = spec(rounds=3), tiny()
    simulation = federate(fedkd(0.2, distillation=0.0), MODEL, shards, run)
    net = Net.of(MODEL.init(run.seed))
    x, y = shards[1]
    for number in range(1, 4):
        for rows in batches(run, number, 1, len(y)):
            net.move(net.gradient(x[rows], y[rows]), 0.2)
    private = simulation.memories[1].private
    assert all(np.allclose(private[f"teacher.{key}"], value, atol=1e-5) for key, value in net.weights.items())


def test_the_teacher_and_its_adapter_never_travel() -> None:
    simulation = prepare(fedkd(0.2), MODEL, tiny(), spec())
    for _ in range(3):
        simulation.step()
        for download in simulation.server.configure(simulation.round + 1).values():
            assert not any(key.startswith("teacher.") for key in download.model)
    assert all(key.startswith("teacher.") for key in simulation.memories[0].private)
    assert "teacher.adapter" in simulation.memories[0].private


def step_at(student: int, teacher: int) -> Step:
    step, shard = Step(), tiny()[3]
    step.model = TeacherAndStudent(0.5).model(MODEL)
    tree = step.model.init(0)
    tree |= STUDENT.init(student) | {f"teacher.{key}": value for key, value in MODEL.init(teacher).items()}
    step.weights = {key: value.requires_grad_() for key, value in tensors(tree).items()}
    step.x, step.y = torch.from_numpy(shard.x), torch.from_numpy(shard.y)
    step.out = step.model.forward(step.weights, step.x, True)
    return step


def test_the_term_is_the_papers() -> None:
    step = step_at(1, 2)
    x, y = step.x.numpy().astype(np.float64), step.y.numpy()
    student, teacher = Net.of(STUDENT.init(1)), Net.of(MODEL.init(2))
    logs = []
    for net in (student, teacher):
        z = net.logits(x)
        logs.append(z - np.log(np.exp(z).sum(1, keepdims=True)))
    s, t = logs
    losses = [-log[np.arange(len(y)), y].mean() for log in (s, t)]
    mutual = (np.exp(s) * (s - t)).sum(1).mean() + (np.exp(t) * (t - s)).sum(1).mean()
    adapter = step.weights["teacher.adapter"].detach().numpy()
    hidden = np.square(teacher.hidden(x) - student.hidden(x) @ adapter).mean()
    expected = losses[1] + 0.7 * (mutual + hidden) / (losses[0] + losses[1])
    assert MutualDistillation(0.7)(step).item() == pytest.approx(expected, rel=1e-5)


def test_targets_and_the_denominator_are_held_fixed() -> None:
    """The teacher's head feels its own loss and KL(s || t)/(Ls + Lt) with s and the sum as constants."""
    step = step_at(1, 2)
    MutualDistillation(1.0)(step).backward()
    found = step.weights["teacher.head.weight"].grad
    teacher, student = Net.of(MODEL.init(2)), Net.of(STUDENT.init(1))
    x, y = step.x.numpy().astype(np.float64), step.y.numpy()

    def softmax(z: np.ndarray) -> np.ndarray:
        return np.exp(z) / np.exp(z).sum(1, keepdims=True)

    t, s = softmax(teacher.logits(x)), softmax(student.logits(x))
    doubt = sum(-np.log(p[np.arange(len(y)), y]).mean() for p in (t, s))
    hard = t.copy()
    hard[np.arange(len(y)), y] -= 1
    expected = teacher.hidden(x).T @ (hard + (t - s) / doubt) / len(y)
    assert found is not None and np.allclose(found.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("energy", [0.5, 0.9, 0.99])
def test_a_truncated_matrix_is_the_best_of_its_rank_and_keeps_the_energy(energy: float) -> None:
    matrix = (RNG.normal(size=(30, 4)) @ RNG.normal(size=(4, 20)) + 0.1 * RNG.normal(size=(30, 20))).astype(np.float32)
    codec, round = LowRank(energy, energy), spec().round(1, MODEL)
    message, memory = codec.encode({"w": matrix}, {}, RNG, round)
    found = codec.decode(message, {"w": matrix}, round)["w"]
    u, s, v = np.linalg.svd(matrix.astype(np.float64), full_matrices=False)
    k = next(k for k in range(1, 21) if (s[:k] ** 2).sum() > energy * (s**2).sum())
    assert message["w:u"].shape == (30, k) and message["w:v"].shape == (k, 20) and memory == {}
    assert np.allclose(found, (u[:, :k] * s[:k]) @ v[:k], atol=1e-4)
    assert np.square(found - matrix).sum() < (1 - energy) * np.square(matrix).sum()


def test_what_would_not_shrink_and_what_has_one_axis_is_sent_whole() -> None:
    update = {"full": RNG.normal(size=(6, 6)).astype(np.float32), "bias": np.ones(9, np.float32)}
    codec, round = LowRank(1.0, 1.0), spec().round(1, MODEL)
    message, _ = codec.encode(update, {}, RNG, round)
    assert message.keys() == {"full", "bias"}
    decoded = codec.decode(message, update, round)
    assert all(np.array_equal(decoded[key], update[key]) for key in update)


def test_a_zero_update_keeps_one_rank_and_a_spoilt_one_does_not_crash() -> None:
    assert rank_for(np.zeros(5, np.float32), 0.95) >= 1
    codec, round = LowRank(), spec().round(1, MODEL)
    for value in (0.0, np.nan):
        update = {"w": np.full((30, 30), value, np.float32)}
        message, _ = codec.encode(update, {}, RNG, round)
        assert np.array_equal(codec.decode(message, update, round)["w"], update["w"], equal_nan=True)


def test_energy_grows_evenly_from_the_first_round_to_the_last() -> None:
    matrix = np.diag(np.sqrt(np.arange(40, 0, -1.0))).astype(np.float32)
    run, sizes = spec(rounds=5), []
    for number in range(1, 6):
        message, _ = LowRank(0.2, 0.6).encode({"w": matrix}, {}, RNG, run.round(number, MODEL))
        sizes.append(message["w:u"].shape[1])
    held = np.cumsum(np.arange(40, 0, -1.0)) / 820
    assert sizes == [int(np.argmax(held > t)) + 1 for t in (0.2, 0.3, 0.4, 0.5, 0.6)]


def test_convolutions_are_truncated_as_matrices() -> None:
    kernel = np.einsum("o,ikl->oikl", RNG.normal(size=16), RNG.normal(size=(8, 3, 3))).astype(np.float32)
    codec, round = LowRank(), spec().round(1, MODEL)
    message, _ = codec.encode({"w": kernel}, {}, RNG, round)
    assert message["w:u"].shape == (16, 1)
    assert np.allclose(codec.decode(message, {"w": kernel}, round)["w"], kernel, atol=1e-5)


def test_clients_that_follow_truncated_downloads_hold_the_servers_model() -> None:
    model, train = Mlp((64,), 10, (64,)), digits()[0]
    simulation = prepare(fedkd(0.2, first_energy=0.6, last_energy=0.7), model, iid(train, 4), spec(rounds=4))
    for number in range(1, 5):
        downloads = simulation.server.configure(number)
        assert all(download.delta == (number > 1) for download in downloads.values())
        before = simulation.server.x
        uploads = simulation._train(downloads)
        for memory in simulation.memories.values():
            assert close(memory.received, {key: before[key] for key in memory.received}, 1e-6)
        simulation.server.aggregate(number, uploads)
        simulation.round = number


def test_both_executors_agree() -> None:
    for model, features in ((MODEL, 6), (Cnn((4, 4), 3, (4, 6), True), 16)):
        shards = tiny(features=features)
        exact = fedkd(0.1, first_energy=1.0, last_energy=1.0)
        one, many = (federate(exact, model, shards, spec(), executor=how).server.x for how in ("sequential", "cohort"))
        assert close(one, many, 1e-5)


def test_a_softmax_has_no_features_to_share() -> None:
    with pytest.raises(IllegalStrategyError, match="features"):
        require_legal(fedkd(), Mlp((6,), 3))


def test_it_sends_a_fraction_of_the_bytes_and_its_student_nearly_keeps_up() -> None:
    train, test = digits()
    model, run = Mlp((64,), 10, (64,)), spec(rounds=12, steps=20, clients=8, batch=16)
    thin = federate(fedkd(0.3), model, iid(train, 8), run, executor="cohort")
    alone = federate(fedavg(0.3), Mlp((64,), 10, (32,)), iid(train, 8), run, executor="cohort")
    assert thin.server.configure(13)[0].size < 0.7 * alone.server.configure(13)[0].size
    assert accuracy(thin, test) > accuracy(alone, test) - 0.03
    judged = replace(fedkd(0.3, teacher_predicts=1), name="teacher")
    assert accuracy(federate(judged, model, iid(train, 8), run, executor="cohort"), [test] * 8) > 0.85
