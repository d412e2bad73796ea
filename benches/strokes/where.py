#!/usr/bin/env python3
"""Where strokes teach most: mean IoU against the number of strokes, for places that are chosen in several ways.

    data.py DATA ...                         makes the data sets
    where.py DATA/NAME ... --out RESULTS.json [--program msd-gpu] [--ways random new ...]
    where.py --show RESULTS.json             prints a table (Markdown)

Somebody begins with a stroke for each class. Then, again and again, a classifier is trained from nothing, judged on the test images with
whole labels, and some strokes are added, each in the class that the pixel has where it begins. With --program it is a network (`train segment
--ignore 255 --max-steps`); without, a perceptron with 24 hidden units on the responses of the stem's filters, which takes a second a round, so
that many draws can be averaged, and a ranking that is no good is soon found out.

Ways, of which all but the first show a square of 32 pixels without labels:

    random            any pixel of any image
    peak              the square whose mean entropy is largest, at its least sure pixel: where the page of `serve` leads to
    unsure            the square whose mean entropy is largest
    unsure-tenth      one of the least sure tenth of the squares, from the images in turn
    disagree-tenth    the same by how much two classifiers of other random starts disagree (mutual information)
    inside-tenth      the same by entropy, without pixels within 3 of a border of found classes
    new               the square whose responses are farthest from those of all squares of 16 pixels with labels
    new-turn          the same, from the images in turn
    new-tenth         one of the newest tenth, from the images in turn
    new-third         one of the newest third
    new-unsure-tenth  by newness times entropy

`+right` behind a way: the person looks at the square and begins at a pixel that is found wrong, if there is one, as `random+right` does in any
square. Otherwise the stroke begins anywhere in the square. Strokes are those of `data.py`. Needs numpy, scipy, imageio, and scikit-learn without
--program."""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import warnings

os.environ.setdefault("OMP_NUM_THREADS", "1")

NOBODY = 255
REGION = 32
SQUARE = 16
COARSE = 2  # Perceptrons are applied to every other pixel.
WAYS = ["random", "peak", "unsure-tenth", "new-tenth"]


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


def responses(image):
    """The stem's responses to an image that is normalised by itself, [response][y][x]."""
    import numpy as np
    from scipy import ndimage

    image, found = image.astype(float), []
    image = (image - image.mean()) / image.std()
    for s in (0.7, 1.6, 3.5, 8):
        of = lambda *order: ndimage.gaussian_filter(image, s, order)
        yy, xx, xy = of(2, 0), of(0, 2), of(1, 1)
        mean, root = (yy + xx) / 2, np.hypot((yy - xx) / 2, xy)
        found += [of(0, 0), s * np.hypot(of(1, 0), of(0, 1)), s * s * (mean + root), s * s * (mean - root)]
    return np.stack(found).astype("f4")


def in_squares(plane, side):
    """[..., y, x] in squares, [..., row, side, column, side]; what is left at the edges is dropped."""
    rows, columns = plane.shape[-2] // side, plane.shape[-1] // side
    whole = plane[..., : rows * side, : columns * side]
    return whole.reshape(*plane.shape[:-2], rows, side, columns, side)


def entropy(p):
    """Of probabilities [class][y][x], as a share of the largest that there can be."""
    import numpy as np

    return -(p * np.log(np.maximum(p, 1e-9))).sum(0) / np.log(len(p))


class Data:
    """The images that are labelled, and what they look like."""

    def __init__(self, folder, images):
        import imageio.v3 as iio
        import numpy as np

        self.folder = folder
        self.names = sorted(path.name for path in (folder / "train/images").iterdir())[:images]
        self.images = [iio.imread(folder / "train/images" / name) for name in self.names]
        self.labels = [iio.imread((folder / "train/labels" / name).with_suffix(".png")) for name in self.names]
        self.classes = np.unique(np.concatenate([np.unique(labels) for labels in self.labels]))
        raw = [responses(image) for image in self.images]
        pixels = np.concatenate([each.reshape(len(each), -1) for each in raw], axis=1)
        self.scale = pixels.mean(1), pixels.std(1)
        self.responses = [self.standard(each) for each in raw]
        self.squares = [in_squares(each, SQUARE).mean((2, 4)) for each in self.responses]

    def standard(self, found):
        mean, deviation = self.scale
        return (found - mean[:, None, None]) / deviation[:, None, None]


class Perceptron:
    """A perceptron on the stem's responses, with the shares of the classes brought to those of the images as `train` does."""

    def __init__(self, data):
        import imageio.v3 as iio
        import numpy as np

        self.data, self.step = data, COARSE
        self.pixels = [each[:, ::COARSE, ::COARSE].reshape(len(each), -1).T for each in data.responses]
        test = sorted(path.name for path in (data.folder / "test/images").iterdir())
        read = lambda kind, name: iio.imread((data.folder / "test" / kind / name).with_suffix(".png"))
        found = [data.standard(responses(read("images", name)))[:, ::4, ::4] for name in test]
        self.test = np.concatenate([each.reshape(len(each), -1).T for each in found])
        self.wanted = np.concatenate([read("labels", name)[::4, ::4].ravel() for name in test])

    def learn(self, drawn, seed, _is_applied):
        import numpy as np
        from sklearn.neural_network import MLPClassifier

        pixels = np.concatenate([each[:, d != NOBODY].T for each, d in zip(self.data.responses, drawn)])
        labels = np.concatenate([d[d != NOBODY] for d in drawn])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = MLPClassifier((24,), solver="lbfgs", alpha=3.0, max_iter=35, random_state=seed).fit(pixels, labels)
        painted = np.array([(labels == value).mean() for value in made.classes_])
        raw = [made.predict_proba(each) for each in self.pixels]
        sample, found = np.concatenate([each[::50] for each in raw]), painted.copy()
        for _ in range(20):
            guess = sample * (found / painted)
            found = (guess / guess.sum(1, keepdims=True)).mean(0)
        change = np.clip(found / painted, 0.25, 4) ** 0.75
        if not (painted >= 2 * found).any():
            change = np.ones_like(change)
        shaped = []
        for each, labels in zip(raw, self.data.labels):
            each = each * change
            shape = labels[::COARSE, ::COARSE].shape
            shaped.append((each / each.sum(1, keepdims=True)).T.reshape(-1, *shape))
        classes = made.classes_[(made.predict_proba(self.test) * change).argmax(1)]
        scores = []
        for value in np.unique(self.wanted):
            both, either = (classes == value) & (self.wanted == value), (classes == value) | (self.wanted == value)
            scores.append(both.sum() / either.sum())
        return float(np.mean(scores)), shaped


class Network:
    """A network that the program trains."""

    def __init__(self, data, program, steps):
        self.data, self.program, self.steps, self.step = data, program, steps, 1

    def run(self, *command):
        command = [str(part) for part in (self.program, *command)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def learn(self, drawn, seed, is_applied):
        import imageio.v3 as iio
        import numpy as np

        with tempfile.TemporaryDirectory() as scratch:
            scratch = pathlib.Path(scratch)
            for name, image, labels in zip(self.data.names, self.data.images, drawn):
                if (labels != NOBODY).any():
                    for kind, pixels in (("images", image), ("labels", labels)):
                        (scratch / kind).mkdir(exist_ok=True)
                        iio.imwrite((scratch / kind / name).with_suffix(".png"), pixels)
            train = ["train", "segment", "--images", scratch / "images", "--targets", scratch / "labels", "--ignore", NOBODY]
            limits = ["--max-steps", self.steps, "--seed", seed, "--device", "cpu"]
            self.run(*train, *limits, "--out", scratch / "run", "-q")
            test = ["--images", self.data.folder / "test/images", "--targets", self.data.folder / "test/labels"]
            judged = self.run("evaluate", "--model", scratch / "run", *test, "--device", "cpu", "--json")
            score = json.loads(judged)["mean_iou"]
            if not is_applied:
                return score, None
            images = [self.data.folder / "train/images" / name for name in self.data.names]
            predict = ["predict", "--model", scratch / "run", *images, "--probabilities", "--device", "cpu", "-q"]
            self.run(*predict, "--out", scratch / "found")
            path = lambda name: scratch / "found" / (pathlib.Path(name).stem + "_probabilities.tif")
            return score, [np.moveaxis(iio.imread(path(name)), -1, 0).astype("f4") for name in self.data.names]


class Chooser:
    """Places for strokes, one after the other, between two times that a classifier is trained."""

    def __init__(self, data, way, rng, drawn, found, other, step):
        self.data, self.rng, self.drawn, self.found, self.other, self.step = data, rng, drawn, found, other, step
        self.ranking, _, self.rule = way.removesuffix("+right").partition("-")
        if way.startswith("new-unsure"):
            self.ranking, self.rule = "new-unsure", "tenth"
        self.corrects, self.used = way.endswith("+right"), [0] * len(drawn)

    def pixels(self, image):
        """How much a stroke is wanted at each pixel that the classifier was applied to."""
        import numpy as np
        from scipy import ndimage

        p = self.found[image]
        if self.ranking == "disagree":
            return np.maximum(entropy((p + self.other[image]) / 2) - (entropy(p) + entropy(self.other[image])) / 2, 0)
        if self.ranking == "inside":
            classes, width = p.argmax(0), 6 // self.step + 1
            return entropy(p) * (ndimage.maximum_filter(classes, width) == ndimage.minimum_filter(classes, width))
        return entropy(p)

    def newness(self):
        """The squared distance of each square to the nearest one with labels, image by image."""
        import numpy as np

        with_labels = [in_squares(d != NOBODY, SQUARE).any((1, 3)) for d in self.drawn]
        known = np.concatenate([squares[:, marks].T for squares, marks in zip(self.data.squares, with_labels)])
        found = []
        for squares in self.data.squares:
            flat = squares.reshape(len(squares), -1).T
            apart = (flat**2).sum(1)[:, None] + (known**2).sum(1) - 2 * flat @ known.T
            found.append(np.maximum(apart.min(1), 0).reshape(squares.shape[1:]))
        return found

    def regions(self):
        """Regions without labels: how much a stroke is wanted, image, row, column."""
        newness = self.newness() if "new" in self.ranking else None
        for image, drawn in enumerate(self.drawn):
            free = ~in_squares(drawn != NOBODY, REGION).any((1, 3))
            if self.ranking != "new":
                wanted = in_squares(self.pixels(image), REGION // self.step).mean((1, 3))
            if newness:
                new = in_squares(newness[image], REGION // SQUARE).mean((1, 3))
                wanted = new if self.ranking == "new" else wanted * new**0.5
            for row, column in zip(*free.nonzero()):
                yield wanted[row, column], image, row * REGION, column * REGION

    def region(self):
        rng = self.rng
        if self.ranking == "random":
            image = int(rng.integers(len(self.drawn)))
            row, column = (int(rng.integers(side // REGION)) * REGION for side in self.drawn[image].shape)
            return image, row, column
        found = sorted(self.regions(), reverse=True)
        if self.rule:
            fewest = min(self.used[image] for _, image, _, _ in found)
            found = [region for region in found if self.used[region[1]] == fewest]
        share = {"tenth": 10, "third": 3}.get(self.rule)
        return found[int(rng.integers(max(1, len(found) // share))) if share else 0][1:]

    def place(self):
        import numpy as np

        rng, side = self.rng, REGION // self.step
        if self.ranking == "random" and not self.corrects:
            image = int(rng.integers(len(self.drawn)))
            return image, *(int(rng.integers(side)) for side in self.drawn[image].shape)
        image, top, left = self.region()
        self.used[image] += 1
        part = np.s_[top // self.step :, left // self.step :]
        row, column = rng.integers(REGION, size=2)
        if self.ranking == "peak":
            place = int(entropy(self.found[image])[part][:side, :side].argmax())
            row, column = (self.step * at for at in np.unravel_index(place, (side, side)))
        elif self.corrects:
            labels = self.data.labels[image][:: self.step, :: self.step][part][:side, :side]
            wrong = np.argwhere(self.data.classes[self.found[image].argmax(0)[part][:side, :side]] != labels)
            if len(wrong):
                row, column = self.step * wrong[rng.integers(len(wrong))]
        return image, top + int(row), left + int(column)


def measured(data, classifier, first, way, draw, options):
    """Strokes, pixels with labels and mean IoU after each round. Before the first strokes are added all ways are alike: `first` keeps it."""
    import numpy as np

    rng = np.random.default_rng(draw)
    drawn, strokes, rounds = [np.full(labels.shape, NOBODY, "u1") for labels in data.labels], 0, []
    for value in data.classes:
        holders = [image for image, labels in enumerate(data.labels) if (labels == value).any()]
        image = holders[rng.integers(len(holders))]
        places = np.argwhere(data.labels[image] == value)
        stroke(rng, data.labels[image], drawn[image], *places[rng.integers(len(places))])
        strokes += 1
    by_found = not (way.startswith(("random", "new")) and not way.endswith("+right") and "unsure" not in way)
    for number in range(options.rounds):
        if number == 0:
            first.setdefault(draw, None)
            first[draw] = score, found = first[draw] or classifier.learn(drawn, 1, True)
        else:
            score, found = classifier.learn(drawn, 1, by_found and number + 1 < options.rounds)
        rounds.append((strokes, sum(int((d != NOBODY).sum()) for d in drawn), score))
        if number + 1 == options.rounds:
            return rounds
        other = classifier.learn(drawn, 2, True)[1] if way.startswith("disagree") else None
        chooser = Chooser(data, way, rng, drawn, found, other, classifier.step)
        for _ in range(options.strokes):
            image, row, column = chooser.place()
            stroke(rng, data.labels[image], drawn[image], row, column)
            strokes += 1


def show(results):
    """Means over the draws that all ways have; and the mean of all rounds after the first strokes, with how many draws are above random."""
    ways = list(dict.fromkeys(r["way"] for r in results))
    later = lambda rounds: statistics.mean(score for _, _, score in rounds[1:])
    for data in dict.fromkeys(r["data"] for r in results):
        own = {w: {r["draw"]: r["rounds"] for r in results if r["data"] == data and r["way"] == w} for w in ways}
        own = {way: draws for way, draws in own.items() if draws}
        common = sorted(set.intersection(*(set(draws) for draws in own.values())))
        if not common:
            continue
        counts = [count for count, _, _ in next(iter(own.values()))[common[0]]]
        print(f"\n| {data}, {len(common)} draws; strokes: | {' | '.join(map(str, counts))} | later mean | above random |")
        print("|---|" + "---|" * (len(counts) + 2))
        for way, draws in own.items():
            cells = [f"{statistics.mean(draws[d][k][2] for d in common):.3f}" for k in range(len(counts))]
            mean = statistics.mean(later(draws[d]) for d in common)
            above = ""
            if way != "random" and "random" in own:
                above = f"{sum(later(draws[d]) > later(own['random'][d]) for d in common)} of {len(common)}"
            print(f"| {way} | {' | '.join(cells)} | **{mean:.3f}** | {above} |")
    print("\n| all data: the later mean, less that of | draws | difference | its standard error | above |\n|---|---|---|---|---|")
    scores = {(r["data"], r["draw"], r["way"]): later(r["rounds"]) for r in results}
    for way in ways:
        for other in ("random", "random+right"):
            same = [(data, draw) for data, draw, of in scores if of == way and (data, draw, other) in scores]
            gains = [scores[*place, way] - scores[*place, other] for place in same]
            if way != other and len(gains) > 1:
                error = statistics.stdev(gains) / len(gains) ** 0.5
                row = (f"{way}, {other}", len(gains), f"{statistics.mean(gains):+.3f}", f"{error:.3f}", sum(g > 0 for g in gains))
                print("| " + " | ".join(map(str, row)) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="*", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--show", type=pathlib.Path)
    parser.add_argument("--program", type=pathlib.Path, help="trains networks with this in place of perceptrons")
    parser.add_argument("--ways", nargs="+", default=WAYS)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--strokes", type=int, default=4, help="that are added in a round [4]")
    parser.add_argument("--steps", type=int, default=150, help="of a network [150]")
    parser.add_argument("--images", type=int, default=4, help="that are labelled [4]")
    options = parser.parse_args()
    if options.show:
        return show(json.loads(options.show.read_text()))
    if not (options.data and options.out):
        parser.error("wanted data sets and --out")
    results = json.loads(options.out.read_text()) if options.out.exists() else []
    known = {(r["data"], r["way"], r["draw"]) for r in results}
    opened = {}
    for draw in range(1, options.draws + 1):
        for folder in options.data:
            for way in options.ways:
                if (folder.name, way, draw) in known:
                    continue
                if folder not in opened:
                    data = Data(folder, options.images)
                    program = options.program and options.program.resolve()
                    opened[folder] = data, Network(data, program, options.steps) if program else Perceptron(data), {}
                rounds = measured(*opened[folder], way, draw, options)
                results.append({"data": folder.name, "way": way, "draw": draw, "rounds": rounds})
                options.out.write_text(json.dumps(results) + "\n")
                print(folder.name, draw, way, [f"{count}: {score:.3f}" for count, _, score in rounds], flush=True)


if __name__ == "__main__":
    main()
