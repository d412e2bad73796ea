#!/usr/bin/env python3
"""Does a network that is learnt from brush strokes gain from the pixels that nobody labelled, or from strokes that are set aside?

    data.py DATA ...                                 makes the data sets
    unlabelled.py sure PROGRAM DATA TABLE.csv        what a first network is sure of as further labels
    unlabelled.py aside PROGRAM DATA TABLE.csv       every fifth stroke set aside, and the model kept that is best on these

`sure`: after some steps (`--first`) the network is applied to its training images (mean over the symmetries), pixels whose most probable class has
0.9 or more become labels with a tenth of the weight, and a new network learns as many steps from both as another one from the strokes alone (800).
With `--first 1` the first network has but its fitted mixing layer.
`aside`: whole strokes, of each class the fifth, tenth and so on; 3300 steps with and without. Judged on the test images: mean IoU.
TABLE.csv is written after each run, and the same call goes on with it.

Needs numpy, scipy, imageio, tifffile."""

import argparse
import csv
import json
import pathlib
import subprocess
import sys
import tempfile

import imageio.v3 as iio
import numpy as np
from scipy import ndimage

NOBODY = 255
COLUMNS = ["data", "draw", "steps", "arm", "mean_iou"]
# What the program chose for strokes when this was measured: written out, as further labels, and later versions, change what it chooses.
CHOSEN = ["--depth", 20, "--crop", 192, "--favour-labelled", 1, "--ema", 0.99, "--optimizer", "adamw", "--weight-decay", 1,
          "--schedule", "step", "--lr-steps", 800, "--lr-factor", 0.5, "--class-shares", "images"]  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["sure", "aside"])
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("data", type=pathlib.Path, help="as data.py makes it")
    parser.add_argument("table", type=pathlib.Path)
    parser.add_argument("--sets", default="few,ten,membrane,textures,fibres,cracks", help="[few,ten,membrane,textures,fibres,cracks]")
    parser.add_argument("--draws", default="1,2", help="[1,2]")
    parser.add_argument("--first", type=int, default=400, help="steps of the first network [400]")
    parser.add_argument("--steps", type=int, help="[800 for sure, 3300 for aside]")
    arguments = parser.parse_args()
    arguments.program = arguments.program.resolve()
    steps = arguments.steps or {"sure": 800, "aside": 3300}[arguments.what]
    rows = list(csv.DictReader(open(arguments.table, newline=""))) if arguments.table.exists() else []
    for name in arguments.sets.split(","):
        for draw in arguments.draws.split(","):
            for arm in ("strokes", arguments.what):
                case = [name, draw, str(steps), arm]
                if any([row[column] for column in COLUMNS[:4]] == case for row in rows):
                    continue
                rows.append(dict(zip(COLUMNS, [*case, f"{judged(arguments, *case):.4f}"])))
                with open(arguments.table, "w", newline="") as file:
                    writer = csv.DictWriter(file, COLUMNS)
                    writer.writeheader()
                    writer.writerows(rows)
                print(*rows[-1].values(), flush=True)


def call(arguments, *words):
    done = subprocess.run([str(arguments.program), "-q", *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"msd-gpu {words[0]} failed: {done.stderr.strip()}")
    return done.stdout


def judged(arguments, name, draw, steps, arm):
    """The mean IoU on the test images of a data set after learning one draw of its strokes."""
    folder = arguments.data / name
    strokes, test = folder / f"strokes-{draw}", folder / "test"
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)

        def learn(out, targets, steps, *more):
            call(arguments, "train", "segment", "--images", folder / "train/images", "--targets", targets, "--ignore", NOBODY,
                 "--max-steps", steps, "--seed", draw, "--device", "cpu", *CHOSEN, *more, "--out", scratch / out)  # fmt: skip

        if arm == "sure":
            learn("first", strokes, arguments.first, *(["--lr", 1e-9] if arguments.first == 1 else []))
            targets, weights = sure(arguments, folder, strokes, scratch)
            learn("run", targets, steps, "--weights", weights)
        elif arm == "aside":
            learnt, aside, images = apart(folder, strokes, scratch)
            learn("run", learnt, steps, "--val-images", images, "--val-targets", aside)
        else:
            learn("run", strokes, steps)
        scores = call(arguments, "evaluate", "--json", "--model", scratch / "run", "--images", test / "images", "--targets", test / "labels")
    return json.loads(scores)["mean_iou"]


def sure(arguments, folder, strokes, scratch):
    """Labels and weights: strokes, and what the first network is sure of."""
    import tifffile

    call(arguments, "predict", "--model", scratch / "first", folder / "train/images", "--tta", "--probabilities", "--out", scratch / "predicted")
    targets, weights = scratch / "targets", scratch / "weights"
    targets.mkdir()
    weights.mkdir()
    for path in sorted(strokes.iterdir()):
        drawn = iio.imread(path)
        classes = classes_of(strokes)
        found = tifffile.imread(scratch / "predicted" / f"{path.stem}_probabilities.tif")
        if found.shape[-1] != len(classes):
            found = np.moveaxis(found, 0, -1)
        labels = np.where(drawn != NOBODY, drawn, np.where(found.max(-1) >= 0.9, classes[found.argmax(-1)], NOBODY))
        iio.imwrite(targets / path.name, labels.astype("u1"))
        tifffile.imwrite(weights / f"{path.stem}.tif", np.where(drawn != NOBODY, 1, 0.1).astype("f4"))
    return targets, weights


def classes_of(strokes):
    values = np.unique(np.concatenate([np.unique(iio.imread(path)) for path in strokes.iterdir()]))
    return values[values != NOBODY]


def apart(folder, strokes, scratch):
    """Label images with four fifths of the strokes, others with the rest, and the images that have some of the rest."""
    learnt, aside, images = scratch / "learnt", scratch / "aside", scratch / "images"
    for made in (learnt, aside, images):
        made.mkdir()
    count = dict.fromkeys(classes_of(strokes).tolist(), 0)
    for path in sorted(strokes.iterdir()):
        drawn = iio.imread(path)
        rest = np.full_like(drawn, NOBODY)
        for value in count:
            found, strokes_there = ndimage.label(drawn == value, np.ones((3, 3)))
            for stroke in range(1, strokes_there + 1):
                count[value] += 1
                if count[value] % 5 == 0:
                    rest[found == stroke] = value
        iio.imwrite(learnt / path.name, np.where(rest == NOBODY, drawn, NOBODY).astype("u1"))
        if (rest != NOBODY).any():
            iio.imwrite(aside / path.name, rest)
            source = next((folder / "train/images").glob(f"{path.stem}.*"))
            (images / source.name).symlink_to(source.resolve())
    return learnt, aside, images


if __name__ == "__main__":
    main()
