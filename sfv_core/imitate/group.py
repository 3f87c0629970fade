"""The processes that learn together: sums over all of them, or nothing to do where there is one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from datetime import timedelta

import numpy as np
import torch
import torch.distributed as dist

_PATIENCE = timedelta(minutes=5)
"""How long a process waits for the others before it gives up."""


class Group:
    """This process's place among the ranks; gloo between them, on this machine."""

    def __init__(self, rank: int, size: int, port: int) -> None:
        """Meet the other ranks at a local TCP port."""
        self.rank, self.size = rank, size
        if size > 1:
            loopback = {"linux": "lo", "darwin": "lo0"}.get(sys.platform)
            if loopback:
                os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback)
            dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}?use_libuv=0", rank=rank,
                                    world_size=size, timeout=_PATIENCE)

    def sum(self, values: np.ndarray | list[float]) -> np.ndarray:
        """Return the sum over all ranks, float64."""
        total = torch.from_numpy(np.array(values, float))
        if self.size > 1:
            dist.all_reduce(total)
        return total.numpy()

    def average_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replace all gradients by their mean over the ranks, in one message."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.reshape(-1) for g in gradients])
        dist.all_reduce(flat)
        flat /= self.size
        for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def close(self) -> None:
        """Leave."""
        if self.size > 1:
            dist.destroy_process_group()
