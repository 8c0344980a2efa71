"""Layers as functions of tensors with an optional leading cohort axis: [K, ...] runs K clients' layers at once."""

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor

from fedwright_federation.algorithm.model import Tensors

NORM_MOMENTUM = 0.1
"""New running statistics are 0.9 old + 0.1 batch."""


def affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x [B, in] or [K, B, in]; weight [in, out] or [K, in, out]; bias [out] or [K, out]."""
    if weight.dim() == 2:
        return torch.addmm(bias, x, weight)
    return torch.baddbmm(bias.unsqueeze(1), x, weight)


def convolve(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """3x3, same size. x [B, I, H, W] or [K, B, I, H, W]; weight [O, I, 3, 3] or [K, O, I, 3, 3]; one group a client."""
    if weight.dim() == 4:
        return functional.conv2d(x, weight, bias, padding=1)
    clients, batch, *_ = x.shape
    folded = functional.conv2d(fold(x), weight.flatten(0, 1), bias.flatten(), padding=1, groups=clients)
    return folded.view(batch, clients, -1, *folded.shape[2:]).transpose(0, 1)


def pool(x: Tensor) -> Tensor:
    """2x2 maximum over the last two axes."""
    if x.dim() == 4:
        return functional.max_pool2d(x, 2)
    pooled = functional.max_pool2d(fold(x), 2)
    return pooled.view(x.shape[1], x.shape[0], -1, *pooled.shape[2:]).transpose(0, 1)


def fold(x: Tensor) -> Tensor:
    """[K, B, C, ...] as [B, K * C, ...]: clients become channels, and every channel keeps to its own client."""
    return x.transpose(0, 1).flatten(1, 2)


def batch_norm(h: Tensor, tree: Tensors, name: str, train: bool) -> tuple[Tensor, Tensors]:
    """Ioffe and Szegedy 2015, over all axes but the channels. h [B, C, ...] or [K, B, C, ...].

    Gives the normalised h and the new running statistics. A batch of one has no variance: the running ones serve then, and
    a running variance that privacy's noise took below zero serves as zero.
    """
    scale, shift = tree[f"{name}.scale"], tree[f"{name}.shift"]
    mean, variance = tree[f"{name}.mean"], tree[f"{name}.variance"]
    cohort = scale.dim() == 2
    fresh = train and h.shape[1 if cohort else 0] > 1
    running = (mean.detach().clone(), variance.detach().clone()) if fresh else (mean, variance.clamp_min(0.0))
    flat = [part.flatten() for part in (*running, scale, shift)] if cohort else [*running, scale, shift]
    normal = functional.batch_norm(
        fold(h) if cohort else h, flat[0], flat[1], flat[2], flat[3], training=fresh, momentum=NORM_MOMENTUM
    )
    if cohort:
        normal = normal.view(h.shape[1], h.shape[0], *h.shape[2:]).transpose(0, 1)
    return normal, ({f"{name}.mean": running[0], f"{name}.variance": running[1]} if fresh else {})


def uniform(rng: np.random.Generator, fan_in: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """U(-1/sqrt(fan_in), 1/sqrt(fan_in))."""
    bound = fan_in**-0.5
    return rng.uniform(-bound, bound, shape).astype(np.float32)


def norm_init(name: str, channels: int) -> dict[str, NDArray[np.float32]]:
    one, zero = np.ones(channels, np.float32), np.zeros(channels, np.float32)
    return {f"{name}.scale": one, f"{name}.shift": zero, f"{name}.mean": zero.copy(), f"{name}.variance": one.copy()}
