#!/usr/bin/env python3
"""Whether msd-gpu learns as PyTorch does: the loss of 50 steps from the same initial weights, in the same order of
images, with the same settings of Adam.

    learning.py target/release/msd-gpu [--device cpu]

The network here is written for this comparison in plain PyTorch, float32, from the paper alone. The program is run as
anyone runs it: `train --init` on image files, whole and without augmentation; what it lost is read from history.csv,
where an epoch is one step when a step shows all images, and five steps when it shows one of five. The order of the
images is computed here, by the rule that the program states: a Fisher-Yates shuffle of each epoch by numbers of ChaCha8.

Prints the largest relative difference of each run, and fails above 1e-3. Needs numpy and torch.
"""

import argparse
import csv
import json
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

TOLERANCE = 1e-3
STEPS, DEPTH, RATE, SEED = 50, 12, 0.003, 7
DILATIONS = list(range(1, 11))
SIZES = [(40, 32), (32, 40), (40, 32), (37, 29), (45, 45)]
INPUT = {"mean": [120.0], "deviation": [60.0]}
TARGET = {"mean": [100.0], "deviation": [50.0]}


# The order of the images.

def chacha8(key, block):
    """One block of ChaCha (Bernstein 2008) with 8 rounds, as 16 numbers of 32 bits."""
    start = [*struct.unpack("<4I", b"expand 32-byte k"), *struct.unpack("<8I", key), block, 0, 0, 0]
    state = start.copy()

    def quarter(a, b, c, d):
        for x, y, z, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            state[x] = (state[x] + state[y]) & 0xFFFFFFFF
            mixed = state[z] ^ state[x]
            state[z] = (mixed << turn | mixed >> (32 - turn)) & 0xFFFFFFFF

    for _ in range(4):
        for i in range(4):
            quarter(i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return [(a + b) & 0xFFFFFFFF for a, b in zip(state, start)]


def order(epoch, count):
    """The images of an epoch, in order."""
    key = struct.pack("<4Q", SEED, 1, epoch, 0)
    words = [word for block in range(4) for word in chacha8(key, block)]
    numbers = [low | high << 32 for low, high in zip(words[::2], words[1::2])]
    images = list(range(count))
    for last in range(count - 1, 0, -1):
        number = next(n for n in iter(lambda: numbers.pop(0), None) if n < 2**64 - 1 - (2**64 - 1) % (last + 1))
        other = number % (last + 1)
        images[last], images[other] = images[other], images[last]
    return images


# The network in PyTorch.

def initial_weights(outputs):
    random = torch.Generator().manual_seed(1)
    deviation = (2 / (9 * DEPTH + outputs)) ** 0.5

    def normal(*shape, scale):
        return (torch.randn(*shape, generator=random) * scale).requires_grad_()

    return {
        "filters": [normal(1, 1 + i, 3, 3, scale=deviation) for i in range(DEPTH)],
        "biases": [normal(1, scale=0.1) for _ in range(DEPTH)],
        "mix": normal(outputs, 1 + DEPTH, scale=0.2),
        "output_biases": normal(outputs, scale=0.1),
    }


def network(weights, maps):
    for i, (kernel, bias) in enumerate(zip(weights["filters"], weights["biases"])):
        s = DILATIONS[i % len(DILATIONS)]
        padded = F.pad(maps, (s, s, s, s), mode="reflect")
        maps = torch.cat([maps, F.relu(F.conv2d(padded, kernel, bias, dilation=s))], 1)
    return F.conv2d(maps, weights["mix"][:, :, None, None], weights["output_biases"])


def torch_curve(task, weights, images, targets, batch):
    """The loss of each step, the mean over all pixels of its images."""
    scaled = [torch.tensor((image - 120.0) / 60.0, dtype=torch.float32)[None, None] for image in images]
    if task == "segment":
        wanted = [torch.tensor(target // 80, dtype=torch.long)[None] for target in targets]
    else:
        wanted = [torch.tensor((target - 100.0) / 50.0, dtype=torch.float32)[None, None] for target in targets]
    flat = [*weights["filters"], *weights["biases"], weights["mix"], weights["output_biases"]]
    adam = torch.optim.Adam(flat, lr=RATE)
    count = len(images)
    shown = [image for epoch in range(-(-STEPS * batch // count)) for image in order(epoch, count)]
    curve = []
    for step in range(STEPS):
        these = shown[step * batch : (step + 1) * batch]
        loss_of = F.cross_entropy if task == "segment" else F.mse_loss
        losses = [loss_of(network(weights, scaled[i]), wanted[i], reduction="sum") for i in these]
        loss = sum(losses) / sum(wanted[i].numel() for i in these)
        adam.zero_grad()
        loss.backward()
        adam.step()
        curve.append(loss.item())
    return np.array(curve)


# Files for the program.

def write_png(path, image):
    height, width = image.shape
    rows = b"".join(b"\0" + row.tobytes() for row in image.astype(np.uint8))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)


def write_model(path, task, weights):
    outputs = len(weights["output_biases"])
    classes = [{"value": 80 * i, "name": str(80 * i)} for i in range(outputs)]
    texts = {
        "architecture": {
            "inputs": 1, "outputs": outputs, "width": 1, "depth": DEPTH, "dilations": DILATIONS,
            "dilation_mode": "channel", "boundary": "reflect",
        },
        "task": {"kind": "segment", "classes": classes} if task == "segment" else {"kind": "regress"},
        "input": INPUT,
        "target": None if task == "segment" else TARGET,
        "provenance": {},
    }  # fmt: skip
    tensors = {
        "filters": torch.cat([kernel.flatten() for kernel in weights["filters"]]).reshape(-1, 3, 3),
        "biases": torch.cat(weights["biases"]),
        "mix": weights["mix"],
        "output_biases": weights["output_biases"],
    }
    header = {"__metadata__": {"format": "msd-gpu model 1"} | {k: json.dumps(v) for k, v in texts.items()}}
    data = b""
    for name, tensor in tensors.items():
        numbers = tensor.detach().numpy().astype("<f4").tobytes()
        offsets = [len(data), len(data) + len(numbers)]
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": offsets}
        data += numbers
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def program_curve(program, device, folder, task, batch):
    """The mean loss of each epoch, and the number of its steps."""
    run = folder / f"run-{batch}"
    command = [
        program, "train", task, "--images", folder / "images", "--targets", folder / "targets", "--init",
        folder / "initial.safetensors", "--crop", "0", "--no-symmetries", "--batch", batch, "--lr", RATE, "--seed", SEED,
        "--max-steps", STEPS, "--device", device, "--out", run, "--quiet",
    ]  # fmt: skip
    subprocess.run([str(part) for part in command], check=True)
    epochs = list(csv.DictReader((run / "history.csv").open()))
    ends = [int(epoch["step"]) for epoch in epochs]
    return np.array([float(epoch["training_loss"]) for epoch in epochs]), np.diff([0, *ends])


def compare(program, device, task, batch):
    """The largest relative difference of the two curves."""
    random = np.random.default_rng(2)
    images, targets = [], []
    for height, width in SIZES:
        y, x = np.mgrid[:height, :width]
        target = np.hypot(y - random.uniform(10, 30), x - random.uniform(10, 25)) < random.uniform(5, 12)
        target = target * 80 + (np.abs(y - x) < 3) * (1 - target) * 160
        targets.append(target)
        images.append(np.clip(60 + 0.7 * target + random.normal(0, 30, target.shape), 0, 255).astype(np.uint8))
    weights = initial_weights(3 if task == "segment" else 1)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for name, stack in (("images", images), ("targets", targets)):
            (folder / name).mkdir()
            for i, image in enumerate(stack):
                write_png(folder / name / f"{i}.png", image)
        write_model(folder / "initial.safetensors", task, weights)
        ours, lengths = program_curve(program, device, folder, task, batch)
    steps = torch_curve(task, weights, images, targets, batch)
    assert lengths.sum() == STEPS and steps[-5:].mean() < 0.9 * steps[:5].mean(), "nothing was learnt"
    theirs = np.array([part.mean() for part in np.split(steps, np.cumsum(lengths)[:-1])])
    apart = np.abs(ours / theirs - 1).max()
    print(f"{task}, {batch} of {len(images)} images a step: loss {steps[0]:.4f} to {steps[-1]:.4f}, {apart:.1e} apart")
    return apart


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    cases = [(task, batch) for task in ("segment", "regress") for batch in (len(SIZES), 1)]
    worst = max(compare(arguments.program, arguments.device, *case) for case in cases)
    if not worst <= TOLERANCE:
        sys.exit(f"the curves are {worst:.1e} apart, more than {TOLERANCE}")


main()
