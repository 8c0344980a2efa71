"""FedAvg as a candidate's code: what is measured around it is the platform's."""

from fedwright_crds.documents import CandidateCode

CODE = CandidateCode(
    files={
        "strategy.py": "from fedwright_federation.strategies.fedavg import fedavg\n\n\n"
        "def build(hyperparameters):\n    return fedavg(lr=hyperparameters['lr'])\n"
    }
)
