#!/usr/bin/env python3
"""How many steps `msd-gpu train` takes to a score, against the images in a batch: where larger batches stop helping.

    python3 benches/peers/steps_to_score.py target/release/msd-gpu superalloy --score 0.85 --out steps.csv
    python3 benches/scaling_model.py --steps-to-score steps.csv

What follows after `--` are flags of train, such as `-- --depth 30 --device gpu`.
The folder has train/images, train/labels, val/images and val/labels. For each batch and seed a network is trained on the first, and judged on
the second after each epoch; the table has the first step at which the mean IoU was at least the score, and is empty where it was not within the
images that may be shown (`--images`), which are as many for all batches. An epoch shows about as many pixels whatever the batch, so with large
batches it is few steps, and steps are known to within an epoch. By default all have the same learning rate; `--rate sqrt` or `linear` raises
it with the batch. The table is written after each run, and the same call goes on with it. It needs Python 3.9 alone.
"""

import argparse
import csv
import os
import pathlib
import subprocess
import sys
import tempfile

COLUMNS = ["batch", "seed", "score", "rate", "images", "steps", "best"]
RATES = {"same": lambda batch: 1.0, "sqrt": lambda batch: batch**0.5, "linear": float}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("folder", type=pathlib.Path, help="with train/ and val/")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="the table, CSV")
    parser.add_argument("--batches", default="1,2,4,8,16,32", help="[1,2,4,8,16,32]")
    parser.add_argument("--seeds", default="1,2,3", help="[1,2,3]")
    parser.add_argument("--score", type=float, default=0.85, help="mean IoU on the validation images [0.85]")
    parser.add_argument("--images", type=int, default=20000, help="pieces that are shown at most, so steps times batch [20000]")
    parser.add_argument("--rate", choices=RATES, default="same", help="how the learning rate grows with the batch [same]")
    parser.add_argument("--lr", type=float, default=0.003, help="learning rate of a batch of one [0.003]")
    # Which flags are those of train is said by what stands before them.
    own, more = sys.argv[1:], []
    if "--" in own:
        own, more = own[: own.index("--")], own[own.index("--") + 1 :]
    arguments = parser.parse_args(own)
    arguments.more = more
    done = read(arguments.out)
    for batch in map(int, arguments.batches.split(",")):
        for seed in map(int, arguments.seeds.split(",")):
            case = [str(batch), str(seed), str(arguments.score), arguments.rate, str(arguments.images)]
            if any([row[name] for name in COLUMNS[:5]] == case for row in done):
                continue
            steps, best = steps_of(arguments, batch, seed)
            done.append(dict(zip(COLUMNS, [*case, "" if steps is None else str(steps), f"{best:.4f}"])))
            write(arguments.out, done)
            found = "not reached" if steps is None else f"{steps} steps, {steps * batch} images"
            print(f"batch {batch}, seed {seed}: {found}; best mean IoU {best:.4f}", flush=True)


def steps_of(arguments, batch, seed):
    """The first step with the score, or None, and the best score."""
    folder = arguments.folder
    with tempfile.TemporaryDirectory() as scratch:
        run = os.path.join(scratch, "run")
        command = [
            os.path.abspath(arguments.program), "train", "segment", "--images", folder / "train/images", "--targets", folder / "train/labels",
            "--val-images", folder / "val/images", "--val-targets", folder / "val/labels", "--batch", batch, "--seed", seed, "--monitor", "iou",
            "--validate-every", 1, "--max-steps", max(1, arguments.images // batch), "--lr", arguments.lr * RATES[arguments.rate](batch),
            "--out", run, *arguments.more,
        ]  # fmt: skip
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["it said nothing"]
            said = next((line for line in lines if line.lower().startswith(("error", "[error"))), lines[-1])
            sys.exit(f"msd-gpu train with --batch {batch} failed: {said}")
        with open(os.path.join(run, "history.csv"), newline="") as file:
            judged = [(int(row["step"]), float(row["mean_iou"])) for row in csv.DictReader(file) if row["mean_iou"]]
    if not judged:
        sys.exit(f"--images {arguments.images} is less than an epoch for --batch {batch}; give more")
    return first_step(judged, arguments.score), max(score for _, score in judged)


def first_step(judged, score):
    """
    >>> first_step([(10, 0.2), (20, 0.7), (30, 0.6), (40, 0.8)], 0.65)
    20
    >>> first_step([(10, 0.2)], 0.65) is None
    True
    """
    return next((step for step, found in judged if found >= score), None)


def read(path):
    if not path.exists():
        return []
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def write(path, rows):
    with open(path, "w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        table.writerows(rows)


if __name__ == "__main__":
    main()
