"""What was asked: the wish in its own words, and the task as the request fixes it."""

from fedwright_crds.request import RequestSpec
from fedwright_crds.task import ModelSpec, Partition, PartitionKind, Task, Training
from fedwright_federation.report.page import Section, Table
from fedwright_federation.report.story import Story
from fedwright_federation.report.units import UNITS, figure


def section(story: Story) -> Section:
    spec = story.report.spec
    rows = (
        ("Data", _data(spec.task)),
        ("Clients", _clients(spec.task)),
        ("Training", _training(spec.task.training)),
        ("Model", _model(story.report.plan.model)),
        ("Objective", _objective(spec)),
        *(("Constraint", line) for line in _constraints(spec)),
        ("Privacy", _privacy(spec)),
    )
    return Section(
        id="asked",
        title="What was asked",
        plain=spec.goal,
        tables=(Table("The task as the request fixes it", ("", ""), rows),),
    )


def _data(task: Task) -> str:
    extras = [
        f"feature shift {figure(task.feature_shift.scale_low)} to {figure(task.feature_shift.scale_high)}"
        if task.feature_shift
        else "",
        f"{task.label_noise.label_fraction:.0%} of the labels of {task.label_noise.client_fraction:.0%} of the clients wrong"
        if task.label_noise
        else "",
        f"{len(task.heads)} heads in turn ({', '.join(head.name for head in task.heads)})" if task.heads else "",
        f"classes arrive in {task.continual.tasks} tasks" if task.continual else "",
    ]
    return ", ".join([str(task.data.source), _partition(task.partition), *filter(None, extras)])


def _partition(partition: Partition) -> str:
    match partition.kind:
        case PartitionKind.DIRICHLET:
            return f"labels by Dirichlet({figure(partition.alpha)})"
        case PartitionKind.PATHOLOGICAL:
            return f"{partition.labels_per_client} labels a client"
        case PartitionKind.IID:
            return "all clients alike"
        case _:
            return "clients as the data gives them"


def _clients(task: Task) -> str:
    return f"{task.clients}, {task.training.participation:.0%} of them a round, devices {task.devices.profile}"


def _training(training: Training) -> str:
    if training.local_steps is not None:
        length = f"{training.local_steps} local steps"
    else:
        epochs = training.local_epochs or 1
        length = f"{figure(epochs)} local epoch{'' if epochs == 1 else 's'}"
    return f"{training.rounds} rounds of {length}, batches of {training.batch_size}"


def _model(model: ModelSpec) -> str:
    hidden = ", ".join(map(str, model.hidden))
    return f"{model.architecture}{f' ({hidden})' if hidden else ''}{', batch norm' if model.batch_norm else ''}"


def _objective(spec: RequestSpec) -> str:
    direction = "greater" if spec.objective.metric.higher_is_better else "smaller"
    target = f" {spec.objective.target_accuracy:.0%}" if spec.objective.target_accuracy else ""
    return f"{UNITS[spec.objective.metric].name}{target} ({spec.objective.scope}), {direction} is better"


def _constraints(spec: RequestSpec) -> list[str]:
    return [
        f"{UNITS[one.metric].name} ({one.scope}) no worse than tuned FedAvg's by more than "
        f"{UNITS[one.metric].difference(one.margin).removeprefix('+')}"
        for one in spec.constraints
    ]


def _privacy(spec: RequestSpec) -> str:
    if spec.privacy is None:
        return "No differential privacy was asked for."
    asked = spec.privacy
    return (
        f"Differential privacy for each {str(asked.unit).lower()}: epsilon {figure(asked.epsilon)} "
        f"at delta {figure(asked.delta)}, updates clipped to {figure(asked.clip_norm)}"
    )
