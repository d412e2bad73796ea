#!/usr/bin/env python3
"""Does a network that has seen many kinds of images learn a new kind from strokes better than one that starts from nothing?

    data.py DATA ...                                   makes the data sets
    starts.py make PROGRAM FOLDER                      trains a starting network in FOLDER/run
    starts.py measure PROGRAM DATA FOLDER TABLE.csv    learns the data sets from strokes with it and without

It is trained on generated images of many kinds (cells with walls, blobs, fibres, regions that differ in texture alone), each under
noise and blur of its own, to say what each pixel belongs to. It has seen none of the data sets.

`measure` learns each data set and each draw of strokes in as many steps with `--init` and without, and judges on the test images: mean IoU. All
images are normalised one by one, as the generated ones are. TABLE.csv is written after each run, and the same call goes on with it.

Needs numpy, scipy, tifffile."""

import argparse
import csv
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy
from scipy import ndimage

COLUMNS = ["data", "draw", "steps", "start", "mean_iou"]
SIZE = 192


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="what", required=True)
    making = commands.add_parser("make")
    making.add_argument("program", type=pathlib.Path)
    making.add_argument("folder", type=pathlib.Path)
    making.add_argument("--images", type=int, default=300, help="[300]")
    making.add_argument("--steps", type=int, default=6000, help="[6000]")
    measuring = commands.add_parser("measure")
    measuring.add_argument("program", type=pathlib.Path)
    measuring.add_argument("data", type=pathlib.Path, help="as data.py makes it")
    measuring.add_argument("folder", type=pathlib.Path, help="as make has left it")
    measuring.add_argument("table", type=pathlib.Path)
    measuring.add_argument("--sets", default="few,ten,membrane,textures,fibres,cracks", help="[few,ten,membrane,textures,fibres,cracks]")
    measuring.add_argument("--draws", type=int, default=3, help="[3]")
    measuring.add_argument("--steps", default="60,400", help="of learning a data set, one run each [60,400]")
    arguments = parser.parse_args()
    arguments.program = arguments.program.resolve()
    make(arguments) if arguments.what == "make" else measure(arguments)


def call(arguments, *words):
    done = subprocess.run([str(arguments.program), "-q", *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"msd-gpu {words[0]} failed: {done.stderr.strip()}")
    return done.stdout


def make(arguments):
    """The starting network."""
    images = arguments.folder / "images"
    make_images(images, arguments.images)
    run = arguments.folder / "run"
    steps = ["--schedule", "cosine", "--lr-steps", arguments.steps, "--max-steps", arguments.steps]
    call(arguments, "train", "segment", "--images", images / "noisy", "--targets", images / "classes", "--depth", 20,
         "--stem", "0.7,1.6,3.5,8", "--crop", 128, *steps, "--ema", 0.999, "--seed", 1, "--device", "cpu", "--out", run)  # fmt: skip


def measure(arguments):
    table = arguments.table
    rows = list(csv.DictReader(open(table, newline=""))) if table.exists() else []
    for name in arguments.sets.split(","):
        for draw in range(1, arguments.draws + 1):
            for steps in arguments.steps.split(","):
                for start in ("none", "classes"):
                    case = [name, str(draw), steps, start]
                    if any([row[column] for column in COLUMNS[:4]] == case for row in rows):
                        continue
                    rows.append(dict(zip(COLUMNS, [*case, f"{judged(arguments, *case):.4f}"])))
                    with open(table, "w", newline="") as file:
                        writer = csv.DictWriter(file, COLUMNS)
                        writer.writeheader()
                        writer.writerows(rows)
                    print(*rows[-1].values(), flush=True)


def judged(arguments, name, draw, steps, start):
    """The mean IoU on the test images of a data set after learning one draw of its strokes."""
    folder = arguments.data / name
    test = folder / "test"
    with tempfile.TemporaryDirectory() as scratch:
        run = pathlib.Path(scratch) / "run"
        init = ["--init", arguments.folder / "run", "--contrast", 0, "--brightness", 0] if start == "classes" else []
        call(arguments, "train", "segment", "--images", folder / "train/images", "--targets", folder / f"strokes-{draw}",
             "--ignore", 255, "--max-steps", steps, *init, "--normalise", "mean", "--normalise-per-image", "--seed", draw,
             "--device", "cpu", "--out", run)  # fmt: skip
        scores = call(arguments, "evaluate", "--json", "--model", run, "--images", test / "images", "--targets", test / "labels")
    return json.loads(scores)["mean_iou"]


def make_images(folder, count):
    """Generated images of many kinds: noisy ones, and what each pixel belongs to."""
    import tifffile

    if (folder / "done").exists():
        return
    for part in ("noisy", "classes"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for index in range(count):
        random = numpy.random.default_rng(index)
        classes = KINDS[index % len(KINDS)](random)
        noisy = measured(random, painted(random, classes))
        tifffile.imwrite(folder / "noisy" / f"{index:04}.tif", ((noisy - noisy.mean()) / (noisy.std() + 1e-6)).astype("f4"))
        tifffile.imwrite(folder / "classes" / f"{index:04}.tif", classes.astype("u1"))
    (folder / "done").touch()


# What a pixel belongs to.
BACKGROUND, WALL, BLOB, FIBRE, REGION = range(5)


def field(random, scale):
    """Smooth noise of deviation 1."""
    found = ndimage.gaussian_filter(random.normal(size=(SIZE, SIZE)), scale, mode="wrap")
    return found / found.std()


def cells(random):
    places = random.uniform(0, SIZE, (random.integers(8, 60), 2))
    grid = numpy.stack(numpy.mgrid[:SIZE, :SIZE], -1) + 3 * numpy.stack([field(random, 6), field(random, 6)], -1)
    distances = numpy.sort(numpy.linalg.norm(grid[:, :, None] - places, axis=-1), -1)
    return numpy.where(distances[..., 1] - distances[..., 0] < random.uniform(2, 8), WALL, BACKGROUND)


def blobs(random):
    y, x = numpy.mgrid[:SIZE, :SIZE]
    classes = numpy.full((SIZE, SIZE), BACKGROUND)
    size = numpy.exp(random.uniform(numpy.log(3), numpy.log(20)))
    for _ in range(int(random.uniform(0.1, 0.5) * SIZE**2 / (3.1 * size**2)) + 1):
        cy, cx, angle, ratio = random.uniform(0, SIZE), random.uniform(0, SIZE), random.uniform(0, 3.1), random.uniform(0.5, 1)
        own = size * random.uniform(0.6, 1.4)
        u = (x - cx) * numpy.cos(angle) + (y - cy) * numpy.sin(angle)
        v = (y - cy) * numpy.cos(angle) - (x - cx) * numpy.sin(angle)
        classes[u**2 + (v / ratio) ** 2 < own**2] = BLOB
    return classes


def fibres(random):
    y, x = numpy.mgrid[:SIZE, :SIZE] + 2 * numpy.stack([field(random, 12), field(random, 12)])
    classes = numpy.full((SIZE, SIZE), BACKGROUND)
    for _ in range(random.integers(3, 20)):
        angle, offset = random.uniform(0, 3.1), random.uniform(-SIZE / 2, SIZE / 2)
        distance = (x - SIZE / 2) * numpy.cos(angle) + (y - SIZE / 2) * numpy.sin(angle) - offset
        classes[abs(distance) < random.uniform(0.7, 5)] = FIBRE
    return classes


def regions(random):
    return numpy.where(field(random, numpy.exp(random.uniform(numpy.log(6), numpy.log(25)))) > random.uniform(-0.6, 0.6), REGION, BACKGROUND)


KINDS = [cells, blobs, fibres, regions]


def painted(random, classes):
    """Grey values: each kind of material with a level and a texture of its own, either of which may be all that tells it."""
    image = numpy.zeros((SIZE, SIZE))
    for kind in numpy.unique(classes):
        scale, strength = numpy.exp(random.uniform(-0.7, 1.6)), random.choice([0, 0.3, 1])
        material = random.normal() * random.choice([0.3, 1]) + strength * field(random, scale) * random.uniform(0.3, 1)
        image = numpy.where(classes == kind, material, image)
    return image + random.choice([0, 0.3]) * field(random, 40)


def measured(random, image):
    """Through blur and noise: white, correlated or growing with the signal."""
    image = ndimage.gaussian_filter(image, random.uniform(0, 1.5))
    strength = random.choice([0.05, 0.2, 0.6]) * random.uniform(0.5, 1.5)
    noise = [random.normal(size=image.shape), field(random, random.uniform(0.5, 1.2)), random.normal(size=image.shape) * (1 + abs(image))]
    return image + strength * noise[random.integers(3)]


if __name__ == "__main__":
    main()
