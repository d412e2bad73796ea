#!/usr/bin/env python3
"""What a PyTorch user would run on volumes: a Mixed-Scale Dense network written with torch.nn.functional.conv3d.

Times one forward pass and one training step (forward, loss, backward, Adam) of the paper's network in three dimensions (width 1,
3x3x3, dilations 1..10 cycling from 1, ReLU, 1x1x1 mixing of all feature maps, cross-entropy) and prints one JSON line for each, as
`msd-gpu bench --dimensions 3 --against FILE` takes them. GFLOP/s counts 2*27 for each filter and voxel of a forward pass, three times
that for a training step, as `msd-gpu bench` does.

  torch_volumes.py --size 96 --depth 30 [--threads 2] [--compile] [--repeats 3] [--give-up 900]

The first run of each, in which --compile compiles, does not count; it is in the line as first_seconds, and what it took beyond the median of
the others as compile_seconds with --compile. What has not printed its line after --give-up seconds ends the script with a line on standard
error and exit code 3.

Needs only torch (`pip install torch`).
"""
import argparse, json, os, statistics, sys, threading, time
import torch
import torch.nn.functional as F


def parameters(depth, classes):
    generator = torch.Generator().manual_seed(0)
    deviation = (2.0 / (27 * depth + classes)) ** 0.5
    filters = [(torch.randn(1, i + 1, 3, 3, 3, generator=generator) * deviation).requires_grad_() for i in range(depth)]
    biases = [torch.zeros(1, requires_grad=True) for _ in range(depth)]
    mix = torch.zeros(classes, depth + 1, 1, 1, 1, requires_grad=True)
    return filters, biases, mix


def forward(x, filters, biases, mix):
    maps = x
    for i, (kernel, bias) in enumerate(zip(filters, biases)):
        s = i % 10 + 1
        y = F.conv3d(F.pad(maps, (s,) * 6, mode="reflect"), kernel, bias, dilation=s)
        maps = torch.cat([maps, F.relu(y)], 1)
    return F.conv3d(maps, mix)


def first_and_median(step, repeats):
    def run():
        start = time.perf_counter()
        step()
        return time.perf_counter() - start
    first = run()
    return first, statistics.median(run() for _ in range(repeats))


def giving_up(what, seconds):
    """A timer that ends the program where `what` takes longer; compiling cannot be interrupted in another way."""
    def end():
        print(f"gave up: {what} was not measured within {seconds:g} s, compiling included; --give-up waits longer",
              file=sys.stderr, flush=True)
        os._exit(3)
    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    return timer


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--size", type=int, default=96)
    p.add_argument("--depth", type=int, default=30)
    p.add_argument("--classes", type=int, default=2)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--compile", action="store_true")
    p.add_argument("--repeats", type=int, default=3)
    p.add_argument("--give-up", type=float, default=900, metavar="SECONDS")
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    filters, biases, mix = parameters(a.depth, a.classes)
    net = torch.compile(forward) if a.compile else forward
    x = torch.randn(1, 1, a.size, a.size, a.size)
    target = torch.randint(0, a.classes, (1, a.size, a.size, a.size))
    optimiser = torch.optim.Adam(filters + biases + [mix])

    def infer():
        with torch.no_grad():
            net(x, filters, biases, mix)

    def train():
        optimiser.zero_grad(set_to_none=True)
        F.cross_entropy(net(x, filters, biases, mix), target).backward()
        optimiser.step()

    flop = 54 * a.depth * (a.depth + 1) // 2 * a.size ** 3
    for name, step, work in (("forward", infer, flop), ("train_step", train, 3 * flop)):
        timer = giving_up(name, a.give_up)
        first, seconds = first_and_median(step, a.repeats)
        timer.cancel()
        compiling = {"compile_seconds": max(first - seconds, 0.0)} if a.compile else {}
        print(json.dumps({"peer": "pytorch " + torch.__version__ + (" compiled" if a.compile else " eager"),
                          "what": name, "dimensions": 3, "size": a.size, "depth": a.depth, "device": "cpu",
                          "seconds": seconds, "first_seconds": first, **compiling,
                          "gflops": work / seconds / 1e9}), flush=True)


if __name__ == "__main__":
    main()
