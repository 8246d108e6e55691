"""Training as BasicSR does it: sub-images as PNG files, cut and turned by DataLoader's workers.

Float32, one crop of one file for each example, the loss read after every step. Written after its
documentation and its behaviour; no line is from there.
"""

import os
import random
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import torch
from peers.torch_loop import LOSSES, device, generator, wait
from torch.utils.data import DataLoader, Dataset, RandomSampler

# Side and stride of HR sub-images, as its script for DIV2K cuts them; and its workers for a GPU.
SIDE, STRIDE, WORKERS = 480, 240, 6


def write_sub_images(pairs: Iterable[tuple[np.ndarray, np.ndarray]], folder: Path) -> int:
    """Cut (lr, hr) photographs, uint8 [h, w, 3], into PNG files; returns how many pairs."""
    count = 0
    for kind in ("lr", "hr"):
        (folder / kind).mkdir(parents=True)
    for lr, hr in pairs:
        scale = hr.shape[0] // lr.shape[0]
        tops, lefts = (_starts(side // scale * scale, scale) for side in hr.shape[:2])
        for top in tops:
            for left in lefts:
                for kind, image, s in (("lr", lr, 1), ("hr", hr, scale)):
                    y, x, side = top * s // scale, left * s // scale, SIDE * s // scale
                    cut = image[y : y + side, x : x + side, ::-1]
                    name = str(folder / kind / f"{count:05d}.png")
                    cv2.imwrite(name, cut, [cv2.IMWRITE_PNG_COMPRESSION, 3])
                count += 1
    return count


def _starts(length: int, scale: int) -> list[int]:
    last = max(length - SIDE // scale * scale, 0)
    return [*range(0, last, STRIDE // scale * scale), last]


class PairedFiles(Dataset):
    """Random crops of the files, each read and decoded when it is asked for."""

    def __init__(self, folder: Path, patch: int, scale: int):
        self.folder, self.patch, self.scale = folder, patch, scale
        self.names = sorted(os.listdir(folder / "lr"))

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        lr, hr = (self._read(kind, self.names[index]) for kind in ("lr", "hr"))
        top = random.randint(0, lr.shape[0] - self.patch)
        left = random.randint(0, lr.shape[1] - self.patch)
        lr = self._crop(lr, top, left, self.patch)
        hr = self._crop(hr, *(n * self.scale for n in (top, left, self.patch)))
        flip, flop, turn = (random.random() < 0.5 for _ in range(3))
        return {
            "lr": self._tensor(lr, flip, flop, turn),
            "hr": self._tensor(hr, flip, flop, turn),
        }

    def _read(self, kind: str, name: str) -> np.ndarray:
        data = np.frombuffer((self.folder / kind / name).read_bytes(), np.uint8)
        return cv2.imdecode(data, cv2.IMREAD_COLOR).astype(np.float32) / 255.0

    @staticmethod
    def _crop(image: np.ndarray, top: int, left: int, side: int) -> np.ndarray:
        return image[top : top + side, left : left + side]

    @staticmethod
    def _tensor(image: np.ndarray, flip: bool, flop: bool, turn: bool) -> torch.Tensor:
        if flip:
            image = cv2.flip(image, 1)
        if flop:
            image = cv2.flip(image, 0)
        if turn:
            image = image.transpose(1, 0, 2)
        image = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_BGR2RGB)
        return torch.from_numpy(image.transpose(2, 0, 1)).float()


class Loop:
    """A training that goes on by `run(steps)`, from files to updated weights."""

    def __init__(self, config, state: dict, folder: Path):
        keys, cores = config.pixel.optimizer, len(os.sched_getaffinity(0))
        self.workers = min(WORKERS, cores)
        self.net, self.ema_net = (generator(config, state) for _ in range(2))
        self.net = self.net.to(memory_format=torch.contiguous_format).train()
        self.decay, self.loss = config.ema, LOSSES[config.pixel.pixel_loss]
        self.optimizer = torch.optim.Adam(self.net.parameters(), keys.lr, (keys.b1, keys.b2))
        torch.backends.cudnn.benchmark = True
        data = PairedFiles(folder, config.data.patch, config.scale)
        self.loader = DataLoader(
            data,
            batch_size=config.data.batch_size,
            # As its enlarged sampler: no epoch ends while this is timed.
            sampler=RandomSampler(data, replacement=True, num_samples=10**7),
            num_workers=self.workers,
            pin_memory=device().type == "cuda",
            drop_last=True,
            # A fork of a process in which JAX runs may hang.
            multiprocessing_context="spawn" if self.workers else None,
        )
        self.batches = iter(self.loader)

    def run(self, steps: int) -> None:
        for _ in range(steps):
            batch = {k: v.to(device(), non_blocking=True) for k, v in next(self.batches).items()}
            self.optimizer.zero_grad()
            loss = self.loss(self.net(batch["lr"]), batch["hr"])
            loss.backward()
            self.optimizer.step()
            loss.item()
            self._average()
        wait()

    def _average(self) -> None:
        if not self.decay:
            return
        with torch.no_grad():
            averages = dict(self.ema_net.named_parameters())
            for name, value in self.net.named_parameters():
                averages[name].mul_(self.decay).add_(value, alpha=1 - self.decay)

    def close(self) -> None:
        """End the workers."""
        del self.batches, self.loader
