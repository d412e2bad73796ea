#!/usr/bin/env python3
"""How good a segmentation is that is learnt from brush strokes, against the seconds that it took to learn.

    data.py DATA ...                 makes the data sets
    curves.py DATA RESULTS.json      measures, and adds to RESULTS.json what is not there yet
    curves.py --show RESULTS.json    prints a table (Markdown), and with --picture FILE.svg draws the curves

For each data set and each draw of strokes it trains for some seconds, applies the model to the test images and compares with their
whole labels. Seconds are those of the whole process that trains, reading the images included. The machine must have nothing else to
do. Methods (--methods):

    default    msd-gpu train segment --ignore 255 --max-minutes ..., and nothing else
    plain      the same without the stem and what is chosen for strokes: depth 50, --stem none and so on
    forest     a random forest on the responses of 31 filters, as ilastik, Labkit and Weka have (scikit-learn, 100 trees)
    catboost   gradient boosted trees on the same responses (needs catboost), which convpaint uses

Needs numpy, scipy, scikit-image, scikit-learn, imageio; matplotlib for pictures."""

import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile
import time

NOBODY = 255
PLAIN = "--stem none --depth 50 --normalise mean --favour-labelled 0 --ema 0"


def images_of(folder):
    import imageio.v3 as iio

    return {path.stem: iio.imread(path) for path in sorted(folder.iterdir())}


def mean_iou(confusion):
    import numpy as np

    hits = np.diag(confusion)
    return float(np.mean(hits / np.maximum(confusion.sum(0) + confusion.sum(1) - hits, 1)))


def responses(image):
    """Those of 31 filters, as in the comparison that the project started from."""
    import numpy as np
    from scipy import ndimage
    from skimage.feature import hessian_matrix, hessian_matrix_eigvals

    if image.ndim == 3:
        return np.concatenate([responses(channel) for channel in np.moveaxis(image, -1, 0)], 1)
    x = image.astype("f4")
    x = (x - x.mean()) / (x.std() + 1e-6)
    found = [x]
    for s in (0.7, 1, 1.6, 3.5, 5, 10):
        found += [ndimage.gaussian_filter(x, s), ndimage.gaussian_laplace(x, s)]
        found += [ndimage.gaussian_gradient_magnitude(x, s)]
        found += list(hessian_matrix_eigvals(hessian_matrix(x, sigma=s, order="rc", use_gaussian_derivatives=False)))
    return np.stack(found, -1).reshape(-1, len(found)).astype("f4")


def trees(kind, data, strokes):
    """Learns and applies trees; gives mean IoU and the seconds that learning took."""
    import numpy as np

    images, labels = images_of(data / "train/images"), images_of(data / strokes)
    start = time.time()
    known = [(responses(images[name]), label.ravel()) for name, label in labels.items()]
    x = np.concatenate([found[label != NOBODY] for found, label in known])
    y = np.concatenate([label[label != NOBODY] for _, label in known])
    if kind == "forest":
        from sklearn.ensemble import RandomForestClassifier

        model = RandomForestClassifier(100, n_jobs=-1, random_state=0)
    else:
        from catboost import CatBoostClassifier

        model = CatBoostClassifier(iterations=100, learning_rate=0.1, depth=5, verbose=False, random_seed=0)
    model.fit(x, y)
    seconds = time.time() - start
    truth = images_of(data / "test/labels")
    classes = 1 + max(int(label.max()) for label in truth.values())
    confusion = np.zeros((classes, classes))
    for name, image in images_of(data / "test/images").items():
        found = np.asarray(model.predict(responses(image))).ravel().astype(int)
        pairs = truth[name].ravel().astype(int) * classes + found
        confusion += np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    return mean_iou(confusion), seconds


def network(program, data, strokes, seconds, flags):
    """Trains and applies msd-gpu; gives mean IoU and the seconds that training took."""
    with tempfile.TemporaryDirectory() as folder:
        run = pathlib.Path(folder) / "run"
        command = [program, "train", "segment", "--images", data / "train/images", "--targets", data / strokes]
        command += ["--ignore", NOBODY, "--out", run, "--device", "cpu", "--max-minutes", seconds / 60, "-q", *flags.split()]
        start = time.time()
        subprocess.run([str(part) for part in command], check=True)
        taken = time.time() - start
        command = [program, "evaluate", "--model", run, "--images", data / "test/images"]
        command += ["--targets", data / "test/labels", "--device", "cpu", "--json"]
        found = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True)
        return json.loads(found.stdout)["mean_iou"], taken


def measure(options):
    results = json.loads(options.results.read_text()) if options.results.exists() else []
    known = {(r["data"], r["draw"], r["method"], r["wanted"]) for r in results}
    folders = sorted(folder for folder in options.data.iterdir() if (folder / "strokes-1").is_dir())
    for draw in range(1, options.draws + 1):
        for data in folders:
            if options.only and data.name not in options.only:
                continue
            for method in options.methods:
                is_tree = method in ("forest", "catboost")
                for wanted in [None] if is_tree else options.seconds:
                    if (data.name, draw, method, wanted) in known:
                        continue
                    strokes = f"strokes-{draw}"
                    if is_tree:
                        score, taken = trees(method, data, strokes)
                    else:
                        flags = PLAIN if method == "plain" else options.flags
                        score, taken = network(options.program, data, strokes, wanted, flags)
                    result = dict(data=data.name, draw=draw, method=method, wanted=wanted, mean_iou=score, seconds=taken)
                    print(f"{data.name:10} {draw} {method:8} {wanted or '':>4} {score:.3f} {taken:6.1f} s", flush=True)
                    results.append(result)
                    options.results.write_text(json.dumps(results, indent=1))


def medians(results):
    groups = {}
    for r in results:
        groups.setdefault((r["data"], r["method"], r["wanted"]), []).append((r["mean_iou"], r["seconds"]))
    middle = lambda values: statistics.median(values)
    return {key: (middle([v[0] for v in found]), middle([v[1] for v in found])) for key, found in groups.items()}


def show(options):
    found = medians(json.loads(options.results.read_text()))
    data = sorted({key[0] for key in found})
    columns = sorted({key[1:] for key in found}, key=lambda column: (column[1] is not None, column[0], column[1] or 0))
    name = lambda method, wanted: method if wanted is None else f"{method}, {wanted:g} s"
    print("| data | " + " | ".join(name(*column) for column in columns) + " |")
    print("|---" * (1 + len(columns)) + "|")
    for row in data:
        cells = [found.get((row, *column)) for column in columns]
        texts = ["" if cell is None else f"{cell[0]:.3f} ({cell[1]:.1f} s)" for cell in cells]
        print(f"| {row} | " + " | ".join(texts) + " |")
    if options.picture:
        draw(found, data, options.picture)


def draw(found, data, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, (len(data) + 1) // 2, figsize=(11, 6), sharex=True)
    for axis, name in zip(axes.ravel(), data):
        methods = sorted({key[1] for key in found if key[0] == name})
        for method in methods:
            points = sorted(found[key][::-1] for key in found if key[:2] == (name, method))
            axis.plot(*zip(*points), marker="o", label=method)
        axis.set(title=name, xscale="log", xlabel="seconds", ylabel="mean IoU")
        axis.grid(alpha=0.3)
    axes.ravel()[0].legend()
    figure.tight_layout()
    figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path, nargs="?")
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--picture", type=pathlib.Path)
    parser.add_argument("--program", default="target/release/msd-gpu")
    parser.add_argument("--methods", nargs="*", default=["default", "plain", "forest"])
    parser.add_argument("--flags", default="", help="more flags for the method default")
    parser.add_argument("--seconds", nargs="*", type=float, default=[3, 10, 60])
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--only", nargs="*")
    options = parser.parse_args()
    if options.show:
        show(options)
    elif options.data is None:
        parser.error("the folder that data.py made is missing")
    else:
        measure(options)


if __name__ == "__main__":
    main()
