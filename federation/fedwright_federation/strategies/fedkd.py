"""FedKD: a private teacher and a small shared student teach each other; updates travel as truncated singular values.

C. Wu, F. Wu, Lyu, Huang and Xie, "Communication-efficient federated learning via knowledge distillation", Nature Communications
13:2032, 2022, arXiv 2108.13323, Methods.
"""

from fedwright_federation.algorithm import CrossEntropy, GlobalModel, Sgd, Strategy
from fedwright_federation.parts.distillation import MutualDistillation, TeacherAndStudent, TeacherPredicts
from fedwright_federation.parts.lowrank import LowRank


def fedkd(
    lr: float = 0.1,
    momentum: float = 0.0,
    width: float = 0.5,
    distillation: float = 1.0,
    first_energy: float = 0.95,
    last_energy: float = 0.98,
    teacher_predicts: int = 0,
) -> Strategy:
    """The requested model is the teacher; the student's hidden layers are `width` times as wide.

    Updates, up and down, keep `first_energy` of their singular values' energy in round 1 and `last_energy` in the last; 1 and 1
    send everything. `teacher_predicts` 1 judges each client by its teacher, which is a personal model, and no fair match for a
    student's size; else the shared student is judged.
    """
    codec = LowRank(first_energy, last_energy)
    return Strategy(
        name="FedKD",
        view=TeacherAndStudent(width),
        download=codec,
        upload=codec,
        losses=(CrossEntropy(), MutualDistillation(distillation)),
        local=Sgd(lr, momentum),
        evaluation=TeacherPredicts() if teacher_predicts else GlobalModel(),
        hyperparameters={
            "lr": lr,
            "momentum": momentum,
            "width": width,
            "distillation": distillation,
            "first_energy": first_energy,
            "last_energy": last_energy,
            "teacher_predicts": teacher_predicts,
        },
    )
