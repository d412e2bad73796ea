#!/usr/bin/env python3
"""Whether strokes teach more where the network is least sure: mean IoU against the number of strokes.

    data.py DATA ...                         makes the data sets
    where.py PROGRAM DATA/NAME ... --out RESULTS.json
    where.py --show RESULTS.json             prints a table (Markdown)

Somebody begins with a stroke for each class. Then, again and again, a network is trained from nothing for some steps (`train segment
--ignore 255 --max-steps`), judged on the test images with whole labels, and some strokes are added, each in the class that the pixel has
where it begins: at random places, or where the network is least sure. That is as the page of `serve` finds it: the square of 32 pixels
without a label whose mean entropy is largest; the stroke begins at its least sure pixel, and after each stroke the next square is taken.
Strokes are those of `data.py`. Needs numpy, scipy, imageio."""

import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile

NOBODY = 255
SIDE = 32


def stroke(rng, labels, drawn, row, column):
    """Draws a stroke that begins at a pixel and stays in its class."""
    import numpy as np

    value = labels[row, column]
    place, angle = np.array([row, column], float), rng.uniform(0, 2 * np.pi)
    for _ in range(rng.integers(20, 60)):
        row, column = np.round(place).astype(int)
        if not (0 <= row < labels.shape[0] and 0 <= column < labels.shape[1]) or labels[row, column] != value:
            break
        brush = np.s_[max(row - 2, 0) : row + 2, max(column - 2, 0) : column + 2]
        drawn[brush][labels[brush] == value] = value
        angle += rng.normal(0, 0.15)
        place += (np.sin(angle), np.cos(angle))


def run(*command):
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout


def least_sure(entropies, drawn):
    """The image, row and column of the least sure pixel of the square without labels whose mean entropy is largest."""
    import numpy as np

    best = None
    for name, entropy in entropies.items():
        for top in range(0, entropy.shape[0] - SIDE + 1, SIDE):
            for left in range(0, entropy.shape[1] - SIDE + 1, SIDE):
                square = np.s_[top : top + SIDE, left : left + SIDE]
                if (drawn[name][square] != NOBODY).any():
                    continue
                mean = float(entropy[square].mean())
                if best is None or mean > best[0]:
                    row, column = np.unravel_index(int(np.argmax(entropy[square])), (SIDE, SIDE))
                    best = (mean, name, top + int(row), left + int(column))
    return best and best[1:]


def measured(program, data, where, draw, options):
    """Yields strokes and mean IoU after each round."""
    import imageio.v3 as iio
    import numpy as np

    names = sorted(path.name for path in (data / "train/images").iterdir())[: options.images]
    labels = {}
    for name in names:
        labels[name] = iio.imread((data / "train/labels" / name).with_suffix(".png"))
    rng = np.random.default_rng(draw)
    drawn = {name: np.full(label.shape, NOBODY, "u1") for name, label in labels.items()}
    strokes = 0
    for value in sorted(set(np.concatenate([np.unique(label) for label in labels.values()]))):
        holders = [name for name in names if (labels[name] == value).any()]
        name = holders[rng.integers(len(holders))]
        places = np.argwhere(labels[name] == value)
        stroke(rng, labels[name], drawn[name], *places[rng.integers(len(places))])
        strokes += 1
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as scratch:
            scratch = pathlib.Path(scratch)
            for name, image in drawn.items():
                if (image != NOBODY).any():
                    for kind, pixels in (("images", iio.imread(data / "train/images" / name)), ("labels", image)):
                        (scratch / kind).mkdir(exist_ok=True)
                        iio.imwrite((scratch / kind / name).with_suffix(".png"), pixels)
            train = ["train", "segment", "--images", scratch / "images", "--targets", scratch / "labels", "--ignore", NOBODY]
            run(program, *train, "--max-steps", options.steps, "--device", "cpu", "--out", scratch / "run", "-q")
            test = ["--images", data / "test/images", "--targets", data / "test/labels"]
            judged = run(program, "evaluate", "--model", scratch / "run", *test, "--device", "cpu", "--json")
            yield strokes, json.loads(judged)["mean_iou"]
            if where == "least sure":
                predict = ["predict", "--model", scratch / "run", data / "train/images", "--uncertainty", "--device", "cpu", "-q"]
                run(program, *predict, "--out", scratch / "found")
                path = lambda name: scratch / "found" / (pathlib.Path(name).stem + "_entropy.tif")
                entropies = {name: iio.imread(path(name)) for name in names}
        for _ in range(options.strokes):
            place = least_sure(entropies, drawn) if where == "least sure" else None
            if place is None:
                name = names[rng.integers(len(names))]
                place = (name, *(int(rng.integers(side)) for side in labels[name].shape))
            name, row, column = place
            stroke(rng, labels[name], drawn[name], row, column)
            strokes += 1


def show(results):
    counts = sorted({r["strokes"] for r in results})
    for data in sorted({r["data"] for r in results}):
        own = [r for r in results if r["data"] == data]
        print(f"\n| {data}, strokes | at random | where least sure | draws |\n|---|---|---|---|")
        for count in counts:
            scores = {w: [r["score"] for r in own if r["where"] == w and r["strokes"] == count] for w in ("random", "least sure")}
            if all(scores.values()):
                draws = min(map(len, scores.values()))
                cells = [f"{statistics.median(s):.3f} ({min(s):.3f} to {max(s):.3f})" for s in scores.values()]
                print(f"| {count} | {' | '.join(cells)} | {draws} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="?", type=pathlib.Path)
    parser.add_argument("data", nargs="*", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--show", type=pathlib.Path)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--strokes", type=int, default=4, help="that are added in a round [4]")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--images", type=int, default=3, help="that are labelled [3]")
    options = parser.parse_args()
    if options.show:
        return show(json.loads(options.show.read_text()))
    if not (options.program and options.data and options.out):
        parser.error("wanted a program, data sets and --out")
    results = json.loads(options.out.read_text()) if options.out.exists() else []
    known = {(r["data"], r["where"], r["draw"]) for r in results}
    for draw in range(1, options.draws + 1):
        for data in options.data:
            for where in ("random", "least sure"):
                if (data.name, where, draw) in known:
                    continue
                found = list(measured(options.program.resolve(), data, where, draw, options))
                results += [{"data": data.name, "where": where, "draw": draw, "strokes": s, "score": v} for s, v in found]
                options.out.write_text(json.dumps(results, indent=1) + "\n")
                print(data.name, draw, where, [f"{count}: {score:.3f}" for count, score in found], flush=True)


if __name__ == "__main__":
    main()
