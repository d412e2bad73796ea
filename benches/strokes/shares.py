#!/usr/bin/env python3
"""What models gain by the shares of classes that are found in the training images, for several ways to go there.

    data.py DATA ...                 makes the data sets
    shares.py PROGRAM DATA FOLDER SET-DRAW-STEPS ...     such as few-1-400

Trains with `--class-shares labels` for some steps, and keeps the runs in FOLDER. Then, as `src/training/shares.rs` does: estimates the shares of
the classes in the training images from the probabilities of the network, with each share changed by a factor of BOUND at most, and adds
WAY ln(found / labelled) to the outputs, where a class was painted at least twice as much as it is found. Prints the mean IoU on the test images
without that and what is gained, in points, for each BOUND/WAY. Needs numpy, imageio, tifffile."""

import pathlib
import subprocess
import sys

import imageio.v3 as iio
import numpy as np
import tifffile

NOBODY = 255
WAYS = [(bound, way) for bound in (3, 4, 5, 20) for way in (0.5, 0.75, 1)]


def run(program, *words):
    subprocess.run([program, "-q", *map(str, words)], check=True, stdout=subprocess.DEVNULL)


def probabilities(folder):
    """Of each image `[class][y][x]`."""
    return [np.moveaxis(tifffile.imread(path), -1, 0) for path in sorted(folder.glob("*_probabilities.tif"))]


def found_shares(images, labelled, bound):
    pixels = np.concatenate([image.reshape(len(labelled), -1)[:, ::7] for image in images], 1).astype(float)
    found = labelled
    for _ in range(100):
        shares = pixels * (found / labelled)[:, None]
        now = np.clip((shares / shares.sum(0)).mean(1), labelled / bound, labelled * bound)
        change, found = abs(now - found).max(), now
        if change < 1e-5:
            break
    return found


def mean_iou(images, truths, shift):
    classes = len(shift)
    confusion = np.zeros((classes, classes))
    for image, truth in zip(images, truths):
        classified = (np.log(image + 1e-12) + shift[:, None, None]).argmax(0)
        pairs = truth.ravel().astype(int) * classes + classified.ravel()
        confusion += np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    hits = np.diag(confusion)
    return float(np.mean(hits / np.maximum(confusion.sum(0) + confusion.sum(1) - hits, 1)))


def main(program, data, folder, *cases):
    print("| set, draw, steps | without | " + " | ".join(f"{bound}/{way}" for bound, way in WAYS) + " |")
    print("|---" * (2 + len(WAYS)) + "|")
    for case in cases:
        name, draw, steps = case.split("-")
        images, strokes = pathlib.Path(data) / name, pathlib.Path(data) / name / f"strokes-{draw}"
        place = pathlib.Path(folder) / case
        if not (place / "test").exists():
            limits = ["--device", "cpu", "--max-steps", steps, "--class-shares", "labels"]
            run(program, "train", "segment", "--images", images / "train/images", "--targets", strokes, "--ignore", NOBODY, "--out", place, *limits)
            for part in ("train", "test"):
                run(program, "predict", images / part / "images", "--model", place, "--out", place / part, "--probabilities", "--device", "cpu")
        seen, unseen = probabilities(place / "train"), probabilities(place / "test")
        truths = [iio.imread(path) for path in sorted((images / "test/labels").iterdir())]
        painted = np.concatenate([iio.imread(path).ravel() for path in sorted(strokes.iterdir())])
        labelled = np.bincount(painted[painted != NOBODY], minlength=len(seen[0])) / (painted != NOBODY).sum()
        without = mean_iou(unseen, truths, np.zeros(len(labelled)))
        gains = []
        for bound, way in WAYS:
            found = found_shares(seen, labelled, bound)
            shift = way * np.log(found / labelled) if (labelled / found).max() >= 2 else 0 * labelled
            gains.append(100 * (mean_iou(unseen, truths, shift) - without))
        print(f"| {name}, {draw}, {steps} | {without:.3f} | " + " | ".join(f"{gain:.1f}" for gain in gains) + " |", flush=True)


main(*sys.argv[1:])
