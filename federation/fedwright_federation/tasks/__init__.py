"""What is simulated: data sources, how rows lie on clients, and what varies from client to client. It knows no method."""

from fedwright_federation.tasks.data import SELECTION, TEST, TRAIN, Samples, TaskData, load_task
from fedwright_federation.tasks.problems import BadInputError

__all__ = ["SELECTION", "TEST", "TRAIN", "BadInputError", "Samples", "TaskData", "load_task"]
