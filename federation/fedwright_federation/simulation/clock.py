"""The device model: who is there in a round, how long each client takes, and who misses the deadline.

Everything is drawn from the seed, so simulated seconds never depend on the machine that simulates.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fedwright_crds.task import DeviceProfile, Devices
from fedwright_federation.algorithm.parts import ClientInfo
from fedwright_federation.simulation.seeds import stream

SPREAD = 0.5
"""Standard deviation of log speed and log bandwidth of mixed devices."""
MIXED_AVAILABILITY = 0.95
SLOWDOWN = 10.0
UNBOUNDED = 0xFFFFFFFF
"""A budget of so many steps is none."""
KIB = 1024.0


def draw_devices(devices: Devices, samples: Sequence[int], seed: int) -> list[ClientInfo]:
    """Each client's device. Of stragglers, round(fraction * N) are ten times slower in all they do."""
    rng = stream(seed, "devices")
    clients = len(samples)
    uniform = devices.profile is DeviceProfile.UNIFORM
    speed = np.ones((3, clients)) if uniform else np.exp(rng.normal(0.0, SPREAD, (3, clients)))
    if devices.profile is DeviceProfile.STRAGGLERS:
        slow = rng.permutation(clients)[: round(devices.straggler_fraction * clients)]
        speed[:, slow] /= SLOWDOWN
    return [
        ClientInfo(
            id=i,
            samples=samples[i],
            steps_per_second=devices.steps_per_second * speed[0, i],
            upload_bytes_per_second=devices.upload_kib_per_second * KIB * speed[1, i],
            download_bytes_per_second=devices.download_kib_per_second * KIB * speed[2, i],
            capability=min(1.0, float(speed[0, i])),
        )
        for i in range(clients)
    ]


def available(devices: Devices, clients: Sequence[ClientInfo], seed: int, round_number: int) -> list[ClientInfo]:
    """Those who are there at the start of a round."""
    if devices.profile is DeviceProfile.UNIFORM:
        return list(clients)
    coins = stream(seed, "availability", round_number).random(len(clients))
    return [client for client, coin in zip(clients, coins, strict=True) if coin < MIXED_AVAILABILITY]


@dataclass(frozen=True)
class Clock:
    """Times of one round in simulated seconds."""

    deadline: float | None

    def budget(self, client: ClientInfo, download_bytes: int) -> int:
        """Local steps that fit before the deadline, if the upload is as large as the download."""
        if self.deadline is None:
            return UNBOUNDED
        left = self.deadline - self.transfer(client, download_bytes, download_bytes)
        return max(0, math.floor(left * client.steps_per_second))

    def transfer(self, client: ClientInfo, download_bytes: int, upload_bytes: int) -> float:
        return download_bytes / client.download_bytes_per_second + upload_bytes / client.upload_bytes_per_second

    def seconds(self, client: ClientInfo, download_bytes: int, steps: int, upload_bytes: int) -> float:
        taken = self.transfer(client, download_bytes, upload_bytes) + steps / client.steps_per_second
        return taken if self.deadline is None else min(taken, self.deadline)

    def missed(self, client: ClientInfo, download_bytes: int) -> float:
        """How long the server waited for a client that sent nothing."""
        return self.transfer(client, download_bytes, 0) if self.deadline is None else self.deadline
