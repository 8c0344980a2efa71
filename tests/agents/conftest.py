"""A request and its facts, for every role."""

import pytest

from fedwright_crds.documents import DataFacts
from fedwright_crds.request import Objective, RequestSpec, Search
from fedwright_crds.task import Data, DataSource, ModelSpec, Task, Training


@pytest.fixture
def spec() -> RequestSpec:
    return RequestSpec(
        goal="The best accuracy on digits.",
        task=Task(
            data=Data(source=DataSource.DIGITS), training=Training(rounds=40, participation=0.25, local_steps=20)
        ),
        model=ModelSpec(hidden=(32,)),
        objective=Objective(),
        search=Search(catalogue_methods=3, plan_candidates=2),
    )


@pytest.fixture
def facts() -> DataFacts:
    """Two labels a client, inputs alike."""
    return DataFacts(
        samples=1797,
        classes=10,
        input_shape=(8, 8),
        train_samples_per_client=(60,) * 20,
        labels_per_client=(2,) * 20,
        label_skew=0.8,
        feature_shift=0.2,
    )
