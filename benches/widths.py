#!/usr/bin/env python3
"""Deep and narrow or shallow and wide? Networks of one task at equal steps, with the time that a step of each takes.

    python3 benches/widths.py target/release/msd-gpu FOLDER --out widths.csv
    python3 benches/widths.py target/release/msd-gpu FOLDER --out widths.csv --task denoise

FOLDER has train/images, train/labels, test/images and test/labels; for denoise train/input, train/target, test/input and test/target. Each
network (`--networks`, depth x width) is trained for as many steps with each seed, with the settings that `msd-gpu train` has by itself but
for a rate that falls to zero, and is judged on the test images: mean IoU, or PSNR in dB. Arithmetic of a step is counted by `msd-gpu bench`.
The table is written after each run, and the same call goes on with it. It needs Python 3.9 alone.
"""

import argparse
import csv
import json
import pathlib
import subprocess
import sys
import tempfile

COLUMNS = ["folder", "depth", "width", "seed", "steps", "score", "parameters", "gflop_a_step"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--task", choices=["segment", "denoise"], default="segment")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="the table, CSV")
    parser.add_argument("--networks", default="100x1,50x2,25x4,20x8", help="[100x1,50x2,25x4,20x8]")
    parser.add_argument("--seeds", default="1", help="[1]")
    parser.add_argument("--steps", type=int, default=1500, help="[1500]")
    parser.add_argument("--data-range", type=float, default=1, help="of the targets, for PSNR [1]")
    arguments = parser.parse_args()
    arguments.program = arguments.program.resolve()
    done = read(arguments.out)
    for seed in arguments.seeds.split(","):
        for network in arguments.networks.split(","):
            depth, width = network.split("x")
            case = [arguments.folder.name, depth, width, seed, str(arguments.steps)]
            if any([row[name] for name in COLUMNS[:5]] == case for row in done):
                continue
            score, parameters = judged(arguments, depth, width, seed)
            row = [*case, f"{score:.4f}", str(parameters), f"{arithmetic(arguments, depth, width):.1f}"]
            done.append(dict(zip(COLUMNS, row)))
            write(arguments.out, done)
            print(f"{arguments.folder.name}, depth {depth}, width {width}, seed {seed}: {score:.4f}", flush=True)


def judged(arguments, depth, width, seed):
    """The score on the test images, and how many parameters the network has."""
    images, targets = ("images", "labels") if arguments.task == "segment" else ("input", "target")
    task = ["segment"] if arguments.task == "segment" else ["denoise"]
    with tempfile.TemporaryDirectory() as scratch:
        run = pathlib.Path(scratch) / "run"
        schedule = ["--schedule", "cosine", "--lr-steps", arguments.steps, "--max-steps", arguments.steps]
        train = arguments.folder / "train"
        call(arguments, "train", *task, "--images", train / images, "--targets", train / targets, "--depth", depth, "--width", width,
             "--seed", seed, *schedule, "--out", run)  # fmt: skip
        test = arguments.folder / "test"
        more = [] if arguments.task == "segment" else ["--data-range", arguments.data_range]
        scores = json.loads(call(arguments, "evaluate", "--json", "--model", run, "--images", test / images,
                                 "--targets", test / targets, *more))  # fmt: skip
        model = json.loads(call(arguments, "inspect", "--json", run))
    return scores["mean_iou"] if arguments.task == "segment" else scores["output"]["psnr"], model["parameters"]


def arithmetic(arguments, depth, width):
    """Floating-point operations of a training step of 256x256 pixels without a stem, in 1e9."""
    lines = call(arguments, "bench", "--json", "--device", "cpu", "--size", 256, "--depth", depth, "--width", width).splitlines()
    step = next(line for line in map(json.loads, lines) if line["what"] == "train_step")
    return step["gflops"] * step["seconds"]


def call(arguments, *words):
    done = subprocess.run([str(arguments.program), "-q", *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"msd-gpu {words[0]} failed: {done.stderr.strip()}")
    return done.stdout


def read(path):
    if not path.exists():
        return []
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def write(path, rows):
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
