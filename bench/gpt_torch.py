"""The model of examples/gpt in PyTorch, trained beside m2_gpt on the same text with the same sizes and the same batch:
tokens a second of both, in turns. The modules compute what m2's do, which --check proves on m2's own weights.

  python3 bench/gpt_torch.py --m2 build/demo/examples/m2_gpt [--rounds 3] [--steps 40] [--threads 2] [--mixing monarch]
"""

import argparse
import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

try:
    import torch
    import torch.nn.functional as F
    from torch import nn
except ImportError:
    sys.exit("PyTorch is not installed for this python3: there is nothing to compare with.")


class MonarchLinear(nn.Module):
    """Two block-diagonal factors with the batched products and copies of the reference code."""

    def __init__(self, inputs, outputs, blocks, bias):
        super().__init__()
        middle = min(inputs // blocks, outputs // blocks)
        self.factor0 = nn.Parameter(torch.empty(blocks, middle, inputs // blocks).uniform_(-0.1, 0.1))
        self.factor1 = nn.Parameter(torch.empty(blocks, outputs // blocks, middle).uniform_(-0.1, 0.1))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None

    def forward(self, x):
        rows, (k, q, p), (l, s, r) = x.shape[:-1], self.factor0.shape, self.factor1.shape
        x = x.reshape(-1, k, p).transpose(0, 1)
        middle = torch.bmm(x, self.factor0.transpose(1, 2)).transpose(0, 1).reshape(-1, r, l)
        out = torch.bmm(middle.permute(2, 0, 1), self.factor1.transpose(1, 2))
        out = out.permute(1, 2, 0).reshape(*rows, s * l)
        return out if self.bias is None else out + self.bias


def channel_linear(plan, inputs, outputs, bias):
    if plan["mixing"] == "dense":
        return nn.Linear(inputs, outputs, bias=bias)
    return MonarchLinear(inputs, outputs, plan["blocks"], bias)


class ImplicitFilter(nn.Module):
    """The kernels of the long convolution: a network of sines of the position, and a decay."""

    def __init__(self, channels, length, width=32, embedding=5):
        super().__init__()
        bands = (embedding - 1) // 2
        position = torch.arange(length)[:, None] / max(length - 1, 1)
        angle = 2 * math.pi * torch.arange(length)[:, None] / length * torch.linspace(1e-4, bands - 1, bands)
        self.z = nn.Parameter(torch.cat([position, torch.cos(angle), -torch.sin(angle)], 1))
        self.frequency = nn.Parameter(torch.ones(width))
        sizes = [embedding, width, width, width]
        self.network = nn.ModuleList([nn.Linear(a, b) for a, b in zip(sizes, sizes[1:])])
        self.network.append(nn.Linear(width, channels, bias=False))
        rates = torch.linspace(math.log(0.01) / 1.5, math.log(0.01) / 0.3, channels).abs()
        self.register_buffer("decay", torch.exp(-position * rates), persistent=False)

    def forward(self):
        h = self.z
        for layer in self.network[:-1]:
            h = torch.sin(self.frequency * layer(h))
        return self.network[-1](h) * self.decay  # (length, channels)


class FilteredConvolution(nn.Module):
    def __init__(self, channels, length):
        super().__init__()
        self.filter = ImplicitFilter(channels, length)
        self.skip = nn.Parameter(torch.randn(channels))

    def forward(self, u):  # (batch, channels, length)
        length = u.shape[-1]
        k = self.filter().t()
        product = torch.fft.rfft(u, n=2 * length) * torch.fft.rfft(k, n=2 * length)
        return torch.fft.irfft(product, n=2 * length)[..., :length] + self.skip[:, None] * u


class ShortConvolution(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, 3).uniform_(-0.5, 0.5))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x):  # (batch, channels, length)
        return F.conv1d(x, self.weight[:, None], self.bias, padding=2, groups=x.shape[1])[..., : x.shape[-1]]


class SequenceMixer(nn.Module):
    def __init__(self, channels, length):
        super().__init__()
        setattr(self, "in", nn.Linear(channels, 3 * channels))
        self.short = ShortConvolution(3 * channels)
        self.convolution = FilteredConvolution(channels, length)
        self.out = nn.Linear(channels, channels)

    def forward(self, x):
        x1, x2, v = self.short(getattr(self, "in")(x).transpose(1, 2)).chunk(3, 1)
        return self.out((self.convolution(x1 * v) * x2).transpose(1, 2))


class GatedMlp(nn.Module):
    def __init__(self, plan):
        super().__init__()
        inner = plan["channels"] * plan["expansion"]
        setattr(self, "in", channel_linear(plan, plan["channels"], 2 * inner, False))
        self.out = channel_linear(plan, inner, plan["channels"], True)

    def forward(self, x):
        gate, value = getattr(self, "in")(x).chunk(2, -1)
        return self.out(F.gelu(gate) * value)


class MixerBlock(nn.Module):
    def __init__(self, plan):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(plan["channels"]), nn.LayerNorm(plan["channels"])
        self.mixer, self.mlp = SequenceMixer(plan["channels"], plan["length"]), GatedMlp(plan)

    def forward(self, x):
        x = x + self.mixer(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Gpt(nn.Module):
    def __init__(self, plan):
        super().__init__()
        self.embedding = nn.Embedding(256, plan["channels"])
        self.blocks = nn.ModuleList([MixerBlock(plan) for _ in range(plan["layers"])])
        self.norm = nn.LayerNorm(plan["channels"])
        self.head = nn.Linear(plan["channels"], 256, bias=False)

    def loss(self, inputs, targets):
        x = self.embedding(inputs)
        for block in self.blocks:
            x = block(x)
        return F.cross_entropy(self.head(self.norm(x)).flatten(0, 1), targets.flatten(), ignore_index=-1)


def read_checkpoint(path):
    """The tensors and the training plan of a checkpoint (safetensors: a JSON header, then the numbers)."""
    data = Path(path).read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    plan = json.loads(header.pop("__metadata__")["gpt.plan"])
    tensors = {}
    for name, entry in header.items():
        if not name.startswith(("optimizer/", "train/")):
            begin, end = entry["data_offsets"]
            numbers = torch.frombuffer(bytearray(data[8 + size + begin : 8 + size + end]), dtype=torch.float32)
            tensors[name] = numbers.reshape(entry["shape"])
    return tensors, plan


def train_m2(options, folder, steps):
    """Tokens a second, and the held-out loss, that m2_gpt prints at its end."""
    command = [options.m2, "train", "--out", folder, "--overwrite", "--mixing", options.mixing, "--steps", str(steps)]
    if options.data:
        command += ["--data", options.data]
    environment = dict(os.environ, OMP_NUM_THREADS=str(options.threads))
    output = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    done = re.search(r"validation loss ([\d.]+) .*?, (\d+) tokens/s", output)
    return float(done[2]), float(done[1])


class TorchTraining:
    def __init__(self, plan, text):
        self.plan, self.text = plan, text
        self.model = Gpt(plan)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=plan["learning_rate"], weight_decay=plan["weight_decay"], fused=True
        )

    def run(self, steps):
        batch, length = self.plan["batch"], self.plan["length"]
        start = time.perf_counter()
        for _ in range(steps):
            begins = torch.randint(len(self.text) - length - 1, (batch, 1))
            windows = self.text[begins + torch.arange(length + 1)].long()
            self.optimizer.zero_grad(set_to_none=False)
            self.model.loss(windows[:, :-1], windows[:, 1:]).backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), self.plan["clip_norm"])
            self.optimizer.step()
        return steps * batch * length / (time.perf_counter() - start)


def held_out_loss(model, text, plan):
    """The mean over every token of the held-out part, once each, in windows that do not overlap."""
    length, batch = plan["length"], plan["batch"]
    begin = len(text) - math.floor(len(text) * plan["held_out"])
    count = len(text) - begin
    targets = F.pad(text[begin:].long(), (0, -count % length), value=-1).view(-1, length)
    inputs = F.pad(text[begin - 1 : -1].long(), (0, -count % length)).view(-1, length)
    total = 0.0
    with torch.inference_mode():
        for x, y in zip(inputs.split(batch), targets.split(batch)):
            total += model.loss(x, y).item() * int((y >= 0).sum())
    return total / count


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--m2", required=True, help="the program m2_gpt")
    parser.add_argument("--data", default="", help="text file [m2's own sources for m2, random bytes for PyTorch]")
    parser.add_argument("--mixing", default="monarch", choices=["monarch", "dense"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=40, help="of a round")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--check", action="store_true", help="compare held-out losses on m2's weights; needs --data")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        _, m2_loss = train_m2(options, folder, 1)  # the plan, and a warm-up
        tensors, plan = read_checkpoint(f"{folder}/checkpoint.safetensors")
        if options.data:
            text = torch.frombuffer(bytearray(Path(options.data).read_bytes()), dtype=torch.uint8)
        else:
            text = torch.randint(256, (1 << 20,), dtype=torch.uint8)
        twin = TorchTraining(plan, text)
        names = {name.replace("embedding.weight", "embedding"): name for name in twin.model.state_dict()}
        twin.model.load_state_dict({names[name]: tensor for name, tensor in tensors.items()})
        parameters = sum(p.numel() for p in twin.model.parameters())
        print(f"{parameters} parameters, {plan['batch']} x {plan['length']} bytes a step, {options.threads} threads")
        if options.check:
            print(f"held-out loss on m2's weights: m2 {m2_loss:.4f}, PyTorch {held_out_loss(twin.model, text, plan):.4f}")
        twin.run(5)
        m2_rates, torch_rates = [], []
        for _ in range(options.rounds):
            m2_rates.append(train_m2(options, folder, options.steps)[0])
            torch_rates.append(twin.run(options.steps))
    ratio = statistics.median(a / b for a, b in zip(m2_rates, torch_rates))
    print("| training, tokens/s | m2 | PyTorch " + torch.__version__ + " | m2 over PyTorch |\n|:--|--:|--:|--:|")
    print(
        f"| GPT, {plan['mixing']} | {statistics.median(m2_rates):.0f} | {statistics.median(torch_rates):.0f} "
        f"| {ratio:.2f}x |"
    )


if __name__ == "__main__":
    main()
