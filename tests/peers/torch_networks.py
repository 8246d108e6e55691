"""SRResNet, MSRResNet and EDSR written the usual PyTorch way, as the functions that jsr's are."""

import re

import torch
from torch import nn
from torch.nn import functional as F

STAGES = {1: (), 2: (2,), 3: (3,), 4: (2, 2), 8: (2, 2, 2)}
DIV2K_MEAN = (0.4488, 0.4371, 0.4040)


class NormBlock(nn.Module):
    """SRResNet's residual block: two convolutions, each followed by batch normalisation."""

    def __init__(self, features: int):
        super().__init__()
        self.conv_0 = nn.Conv2d(features, features, 3, padding=1, bias=False)
        self.norm_0 = nn.BatchNorm2d(features)
        self.act = nn.PReLU(features)
        self.conv_1 = nn.Conv2d(features, features, 3, padding=1, bias=False)
        self.norm_1 = nn.BatchNorm2d(features)

    def forward(self, x):
        y = self.act(self.norm_0(self.conv_0(x)))
        return x + self.norm_1(self.conv_1(y))


class SRResNet(nn.Module):
    """The generator of SRGAN: [b, 3, h, w] to [b, 3, h * scale, w * scale]."""

    def __init__(self, scale: int = 4, features: int = 64, blocks: int = 16):
        super().__init__()
        self.head, self.head_act = nn.Conv2d(3, features, 9, padding=4), nn.PReLU(features)
        self.block = nn.Sequential(*(NormBlock(features) for _ in range(blocks)))
        self.body_conv = nn.Conv2d(features, features, 3, padding=1, bias=False)
        self.body_norm = nn.BatchNorm2d(features)
        self.up, self.up_act = nn.ModuleList(), nn.ModuleList()
        for s in STAGES[scale]:
            self.up.append(nn.Conv2d(features, features * s**2, 3, padding=1))
            self.up_act.append(nn.PReLU(features))
        self.shuffles = [nn.PixelShuffle(s) for s in STAGES[scale]]
        self.tail = nn.Conv2d(features, 3, 9, padding=4)

    def forward(self, lr):
        head = self.head_act(self.head(lr))
        x = head + self.body_norm(self.body_conv(self.block(head)))
        for conv, act, shuffle in zip(self.up, self.up_act, self.shuffles, strict=True):
            x = act(shuffle(conv(x)))
        return self.tail(x)


class PlainBlock(nn.Module):
    """MSRResNet's residual block, without normalisation."""

    def __init__(self, features: int):
        super().__init__()
        self.conv_0 = nn.Conv2d(features, features, 3, padding=1)
        self.conv_1 = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, x):
        return x + self.conv_1(F.relu(self.conv_0(x)))


class MSRResNet(nn.Module):
    """The baseline of ESRGAN's code; `tail` is full or light, `base` bilinear or nothing."""

    def __init__(
        self,
        scale: int = 4,
        features: int = 64,
        blocks: int = 16,
        base: str = "bilinear",
        tail: str = "full",
    ):
        super().__init__()
        self.scale, self.base, self.full = scale, base, tail == "full"
        self.head = nn.Conv2d(3, features, 3, padding=1)
        self.block = nn.Sequential(*(PlainBlock(features) for _ in range(blocks)))
        if self.full:
            ups = (nn.Conv2d(features, features * s**2, 3, padding=1) for s in STAGES[scale])
            self.up = nn.ModuleList(ups)
            self.shuffles = [nn.PixelShuffle(s) for s in STAGES[scale]]
            self.hr_conv = nn.Conv2d(features, features, 3, padding=1)
        channels = 3 if self.full else 3 * scale**2
        self.tail = nn.Conv2d(features, channels, 3, padding=1)

    def forward(self, lr):
        x = self.block(F.leaky_relu(self.head(lr), 0.1))
        if self.full:
            for conv, shuffle in zip(self.up, self.shuffles, strict=True):
                x = F.leaky_relu(shuffle(conv(x)), 0.1)
            x = self.tail(F.leaky_relu(self.hr_conv(x), 0.1))
        else:
            x = F.pixel_shuffle(self.tail(x), self.scale)
        if self.base == "none":
            return x
        enlarged = F.interpolate(lr, scale_factor=self.scale, mode="bilinear", align_corners=False)
        return x + enlarged


class ResBlock(nn.Module):
    """EDSR's residual block."""

    def __init__(self, features: int, res_scale: float):
        super().__init__()
        conv = (nn.Conv2d(features, features, 3, padding=1) for _ in range(2))
        self.body = nn.Sequential(next(conv), nn.ReLU(inplace=True), next(conv))
        self.res_scale = res_scale

    def forward(self, x):
        return x + self.res_scale * self.body(x)


class EDSR(nn.Module):
    """Lim et al. 2017, in the range 0..255 less DIV2K's mean colour."""

    def __init__(
        self, scale: int = 4, features: int = 64, blocks: int = 16, res_scale: float = 1.0
    ):
        super().__init__()
        self.register_buffer("mean", torch.tensor(DIV2K_MEAN).view(1, 3, 1, 1), persistent=False)
        self.head = nn.Sequential(nn.Conv2d(3, features, 3, padding=1))
        body = [ResBlock(features, res_scale) for _ in range(blocks)]
        self.body = nn.Sequential(*body, nn.Conv2d(features, features, 3, padding=1))
        up = []
        for s in STAGES[scale]:
            up += [nn.Conv2d(features, features * s**2, 3, padding=1), nn.PixelShuffle(s)]
        self.tail = nn.Sequential(nn.Sequential(*up), nn.Conv2d(features, 3, 3, padding=1))

    def forward(self, lr):
        x = self.head((lr - self.mean) * 255.0)
        return self.tail(x + self.body(x)) / 255.0 + self.mean


NETWORKS = {"srresnet": SRResNet, "msrresnet": MSRResNet, "edsr": EDSR}


def load_state(network: nn.Module, state: dict) -> None:
    """Give a network the tensors that jsr exports for PyTorch (NumPy arrays by name)."""
    renamed = {_rename(name): torch.as_tensor(value) for name, value in state.items()}
    counters = {k: v for k, v in network.state_dict().items() if k.endswith("batches_tracked")}
    network.load_state_dict(counters | renamed)


def _rename(name: str) -> str:
    name = re.sub(r"^block_(\d+)_", r"block.\1.", name)
    name = re.sub(r"^up_(\d+)_act", r"up_act.\1", name)
    return re.sub(r"^up_(\d+)", r"up.\1", name)
