"""The models that requests may name: pure functions over flat trees, written once for one client and for a whole cohort."""

from fedwright_crds.task import Architecture, ModelSpec
from fedwright_federation.algorithm.model import Model
from fedwright_federation.models.sequential import Cnn, Mlp

__all__ = ["Cnn", "Mlp", "build_model"]


def build_model(spec: ModelSpec, input_shape: tuple[int, ...], classes: int) -> Model:
    """The model of a request on data of this shape. Raises ValueError where they do not fit together."""
    if spec.architecture is Architecture.SOFTMAX:
        return Mlp(input_shape, classes)
    if spec.architecture is Architecture.MLP:
        return Mlp(input_shape, classes, spec.hidden, spec.batch_norm)
    return _cnn(spec, input_shape, classes)


def _cnn(spec: ModelSpec, input_shape: tuple[int, ...], classes: int) -> Cnn:
    if len(input_shape) not in {2, 3}:
        raise ValueError(f"spec.model.architecture Cnn needs images and the data has shape {input_shape}; choose Mlp")
    if min(input_shape[-2:]) < 2 ** len(spec.hidden):
        raise ValueError(
            f"spec.model.hidden has {len(spec.hidden)} blocks that halve images of {input_shape}; use fewer blocks"
        )
    return Cnn(input_shape, classes, spec.hidden, spec.batch_norm)
