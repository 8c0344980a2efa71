"""Findings as a finished search leaves them: made up, with the shape and the size of real ones."""

from typing import Any

import numpy as np

from fedwright_crds.base import canonical
from fedwright_crds.documents import ReportInput

Document = dict[str, Any]

ROUNDS, SEEDS, CLIENTS = 40, 10, 20

STRATEGIES: tuple[Document, ...] = (
    {
        "name": "digits-fedavg",
        "title": "FedAvg, tuned",
        "origin": "Baseline",
        "method": "fedavg",
        "end": 0.902,
        "mib": 24.0,
    },
    {
        "name": "digits-scaffold",
        "title": "SCAFFOLD",
        "origin": "Baseline",
        "method": "scaffold",
        "end": 0.921,
        "mib": 48.0,
    },
    {
        "name": "digits-fedprox",
        "title": "FedProx",
        "origin": "Baseline",
        "method": "fedprox",
        "end": 0.904,
        "mib": 24.0,
    },
    {
        "name": "digits-c1",
        "title": "SCAFFOLD with FedPAQ's 8-bit deltas",
        "origin": "Plan",
        "method": "scaffold",
        "end": 0.934,
        "mib": 13.1,
        "parts": [{"slot": "codec", "name": "stochastic-quantization", "reason": "8 bits are enough for a delta"}],
    },
    {
        "name": "digits-c2",
        "title": "FedAdam over FedProx",
        "origin": "Plan",
        "method": "fedprox",
        "end": 0.913,
        "mib": 24.0,
        "parts": [{"slot": "server-optimizer", "name": "adam", "reason": ""}],
    },
    {
        "name": "digits-c3",
        "title": "FedAvg, 4-bit deltas",
        "origin": "Proposal",
        "method": "fedpaq",
        "end": 0.846,
        "mib": 3.4,
        "parts": [{"slot": "codec", "name": "stochastic-quantization", "reason": "halves the bytes again"}],
        "reason": "Behind the first three after the first rung, outside the noise band.",
    },
    {
        "name": "digits-c4",
        "title": "Momentum on the server",
        "origin": "Proposal",
        "method": "fedavgm",
        "end": None,
        "mib": None,
        "phase": "Rejected",
        "reason": "NotFinite: the update of client 3 in round 2 holds NaN.",
    },
)
FINALISTS = ("digits-c1", "digits-c2")


def findings(**changes: Any) -> ReportInput:
    """A request whose first candidate won and was deployed; top-level fields can be replaced."""
    return ReportInput.model_validate_json(canonical({**document(), **changes}))


def document() -> Document:
    return {
        "request": "digits-noniid",
        "spec": spec(),
        "facts": facts(),
        "plan": plan(),
        "candidates": [candidate(one, number) for number, one in enumerate(STRATEGIES)],
        "decision": decision(),
        "verdict": "SCAFFOLD with FedPAQ's 8-bit deltas (digits-c1) won: 93.4% accuracy against 90.2% for tuned FedAvg "
        "(+3.2 points, 95% interval +2.3 to +4.1) and 92.1% for SCAFFOLD; on 10 fresh seeds, p = 0.0001 (paired t test).",
        "deployment": deployment(),
        "judgedOn": "Digits split over 20 simulated clients (Pathological); a fleet's own data is elsewhere",
        "spent": {
            "candidates": 7,
            "simulatedRounds": 5840,
            "works": 171,
            "boxSeconds": 212.4,
            "tokens": 0,
            "moneyUsd": 0.0,
        },
    }


def spec() -> Document:
    return {
        "goal": "Classify handwritten digits on 20 devices.\nEach holds two of the ten digits.",
        "task": {
            "data": {"source": "Digits"},
            "partition": {"kind": "Pathological"},
            "training": {"rounds": ROUNDS, "participation": 0.25, "localSteps": 20},
            "devices": {"profile": "Mixed"},
        },
        "objective": {"metric": "Accuracy"},
        "constraints": [{"metric": "WorstTenthAccuracy", "margin": 0.02, "scope": "PerClient"}],
    }


def facts() -> Document:
    return {
        "samples": 1797,
        "classes": 10,
        "inputShape": [8, 8],
        "trainSamplesPerClient": [48 + i % 9 for i in range(CLIENTS)],
        "labelsPerClient": [2] * CLIENTS,
        "labelSkew": 0.81,
        "featureShift": 0.12,
    }


def plan() -> Document:
    idea = {"title": "FedAvg", "method": "fedavg", "hypothesis": "The measure of all others."}
    return {"summary": "Skew first.", "model": {"hidden": [32]}, "baselines": [idea], "candidates": [], "criteria": []}


def candidate(one: Document, number: int) -> Document:
    """With curves, clients and a probe where it met the test split; with grades where it was proposed."""
    judged = (one["origin"] == "Baseline" and one["method"] != "fedprox") or one["name"] in FINALISTS
    found: Document = {"outcome": {**outcome(one), "trials": trials(one, number)}}
    if judged:
        found |= {"curves": curves(one, number), "perClient": clients(one, number), "probe": probe(number)}
    if one["origin"] == "Proposal":
        found["grades"] = grades(number)
    return found


def outcome(one: Document) -> Document:
    measures = {} if one["end"] is None else {"Accuracy/Global": one["end"], "UploadMebibytes/Global": one["mib"]}
    return {
        "name": one["name"],
        "title": one["title"],
        "origin": one["origin"],
        "method": one["method"],
        "parts": one.get("parts", []),
        "hypothesis": "Client drift under label skew costs accuracy; correcting it should help in late rounds.",
        "phase": one.get("phase", "Scored"),
        "reason": one.get("reason", "Judged in full on the selection split."),
        "measures": measures,
        "best": {"local-lr": 0.1, "server-lr": 1.0},
        **({} if one["end"] is None else {"score": one["end"]}),
    }


def curves(one: Document, number: int) -> list[list[Document]]:
    random = np.random.default_rng(number)
    rounds = [4 * i for i in range(1, 11)]
    found = []
    for _ in range(SEEDS):
        end = one["end"] + random.normal(0, 0.008)
        accuracy = [float(np.clip(end - 0.75 * np.exp(-r / 8) + random.normal(0, 0.006), 0, 1)) for r in rounds]
        found.append(
            [
                {
                    "round": r,
                    "accuracy": a,
                    "clientAccuracy": a,
                    "uploadMebibytes": one["mib"] * r / ROUNDS,
                    "simulatedSeconds": 3.0 * r,
                }
                for r, a in zip(rounds, accuracy, strict=True)
            ]
        )
    return found


def clients(one: Document, number: int) -> list[float]:
    random = np.random.default_rng(100 + number)
    return [float(value) for value in random.beta(40 * one["end"], 40 * (1 - one["end"]), CLIENTS)]


def probe(number: int) -> Document:
    auc, tpr = 0.52 + 0.008 * number, 0.012 + 0.002 * number
    return {
        "members": 480,
        "auc": auc,
        "aucLow": auc - 0.03,
        "aucHigh": auc + 0.03,
        "tprAt1Fpr": tpr,
        "tprLow": 0.4 * tpr,
        "tprHigh": 2 * tpr,
        "lookupSuspected": False,
    }


def grades(number: int) -> list[Document]:
    return [
        {
            "proposal": 0,
            "dimension": dimension,
            "score": 0.3 + 0.1 * ((number + reviewer + place) % 7),
            "reason": reason,
        }
        for reviewer in range(3)
        for place, (dimension, reason) in enumerate(
            [("novelty", "no such pair was tried"), ("correctness", "the parts fit"), ("testability", "")]
        )
    ]


def trials(one: Document, number: int) -> list[Document]:
    random = np.random.default_rng(200 + number)
    if one["end"] is None:
        return [{"hyperparameters": {"local-lr": 0.1}, "rounds": 10, "seed": 0, "failure": "NaN in round 2"}]
    found = [
        {
            "hyperparameters": {"local-lr": float(10 ** random.uniform(-2.5, 0)), "server-lr": 1.0},
            "rounds": 10,
            "seed": 0,
            "value": float(one["end"] - 0.12 - abs(random.normal(0, 0.08))),
        }
        for _ in range(6)
    ]
    best = {"local-lr": 0.1, "server-lr": 1.0}
    return [
        *found,
        *(
            {"hyperparameters": best, "rounds": ROUNDS, "seed": s, "value": one["end"] - 0.003 + 0.003 * s}
            for s in range(3)
        ),
    ]


def decision() -> Document:
    return {
        "winner": "digits-c1",
        "reason": "digits-c1 is superior in Accuracy/Global and keeps every constraint",
        "baseline": "digits-fedavg",
        "bestCatalogue": "digits-scaffold",
        "objective": [
            comparison("digits-c1", 0.934, 0.902, 0.009, 0.00012, True),
            comparison("digits-c2", 0.913, 0.902, 0.013, 0.09, False),
        ],
        "againstCatalogue": comparison("digits-c1", 0.934, 0.921, 0.008, 0.004, True, "digits-scaffold"),
        "constraints": [
            comparison("digits-c1", 0.81, 0.78, 0.02, 0.0004, True, metric="WorstTenthAccuracy/PerClient", margin=0.02),
            comparison(
                "digits-c2", 0.765, 0.78, 0.024, 0.31, False, metric="WorstTenthAccuracy/PerClient", margin=0.02
            ),
        ],
    }


def comparison(
    name: str,
    own: float,
    other: float,
    reach: float,
    p: float,
    holds: bool,
    reference: str = "digits-fedavg",
    metric: str = "Accuracy/Global",
    margin: float | None = None,
) -> Document:
    return {
        "candidate": name,
        "reference": reference,
        "metric": metric,
        "candidateValue": own,
        "referenceValue": other,
        "difference": own - other,
        "low": own - other - reach,
        "high": own - other + reach,
        "level": 0.05,
        "p": p,
        "pSignFlip": 0.002,
        "freshSeeds": SEEDS,
        "holds": holds,
        **({} if margin is None else {"margin": margin}),
    }


def deployment() -> Document:
    return {
        "run": "1234567890",
        "modelDigest": "sha256:" + "ab" * 32,
        "restarts": 1,
        "rounds": [
            {
                "round": number,
                "clients": 3,
                "accuracy": 0.9 - 0.6 * 0.6**number,
                "loss": 2.0 * 0.7**number,
                "uploadBytes": 31000,
                "downloadBytes": 62000,
                "seconds": 1.4,
            }
            for number in range(1, 9)
        ],
    }
