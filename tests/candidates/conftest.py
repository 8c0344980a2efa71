"""A small contract, and drafts that break it in one way each."""

import pytest

from fedwright_crds.documents import Contract
from fedwright_crds.task import Data, DataSource, DeviceProfile, Devices, ModelSpec, Task


@pytest.fixture
def contract() -> Contract:
    return Contract(
        model=ModelSpec(hidden=(8, 6), batch_norm=True),
        task=Task(data=Data(source=DataSource.DIGITS), devices=Devices(profile=DeviceProfile.STRAGGLERS)),
        input_shape=(8, 8),
        classes=10,
        hyperparameters={"lr": 0.1},
    )
