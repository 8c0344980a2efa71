"""The sandbox. Runs units of work on one machine: see `local`."""

from fedwright_boxes.images import image_digests
from fedwright_boxes.local import LocalBoxes, sandbox_available
from fedwright_boxes.memory import tree_pss_mib
from fedwright_boxes.steps import Artifacts

__all__ = ["Artifacts", "LocalBoxes", "image_digests", "sandbox_available", "tree_pss_mib"]
