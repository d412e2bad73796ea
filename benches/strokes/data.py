#!/usr/bin/env python3
"""The data sets of the stroke benchmark: images, brush strokes on some of them, and test images with whole labels.

    data.py OUT [--data DIR] [--draws 3] [--only NAME ...]

Writes OUT/NAME/{train,test}/{images,labels} and OUT/NAME/strokes-N for each draw N of strokes. The phantoms are made here:

    textures   five textures of equal mean and deviation, in regions with smooth borders
    fibres     rods, hollow rings and full discs of one grey value, blurred, in coarse noise: shape tells them, brightness does not
    cracks     a crack of 0.3 % of the pixels through layers of two materials that differ in grain alone
    rings      up to 257 full discs, and three rings, which are few of the pixels of a larger image

More of them, of other kinds, are in phantoms.py.

With --data DIR, which has superalloy/{train,test}/{images,labels} (NASA's pretrained-microscopy-models) and membrane/{images,labels}
(ISBI 2012), these are taken too: `few` has strokes on 3 of the superalloy images, `ten` on all 10, `membrane` on 5.

Strokes are as a person would draw them: some for each class and image, 4 pixels wide, 20 to 60 long, inside the class. 255 is
nobody's. Needs numpy, scipy, imageio."""

import argparse
import pathlib
import shutil

import imageio.v3 as iio
import numpy as np
from scipy import ndimage

import phantoms

NOBODY = 255


def regions(rng, size, classes, cell):
    """Regions with smooth borders: for each pixel the class whose smooth random field is largest."""
    fields = [ndimage.gaussian_filter(rng.normal(size=(size, size)), cell, mode="wrap") for _ in range(classes)]
    return np.argmax(fields, axis=0).astype("u1")


def standard(x):
    return (x - x.mean()) / x.std()


def to_bytes(x):
    return np.clip(np.round(128 + 40 * x), 0, 255).astype("u1")


def textures(rng, size=384):
    labels = regions(rng, size, 5, 22)
    noise = lambda: rng.normal(size=(size, size))
    y, x = np.mgrid[:size, :size]
    warp = 3 * standard(ndimage.gaussian_filter(noise(), 12))
    kinds = [
        noise(),
        ndimage.gaussian_filter(noise(), 2.0),
        ndimage.gaussian_filter(noise(), (0.7, 4.0)),
        np.sin((x + warp) * 2 * np.pi / 9) + np.sin((y + warp) * 2 * np.pi / 9),
        -ndimage.gaussian_filter((rng.random((size, size)) < 0.015).astype(float), 1.6),
    ]
    image = np.choose(labels, [standard(kind) for kind in kinds])
    return to_bytes(0.9 * image + 0.4 * noise()), labels


def fibres(rng, size=384):
    labels = np.zeros((size, size), "u1")
    signal = np.zeros((size, size))
    y, x = np.mgrid[:size, :size]
    taken = np.zeros((size, size), bool)
    for _ in range(400):
        kind, (cy, cx) = rng.integers(1, 4), rng.uniform(0, size, 2)
        if kind == 1:
            angle, length, width = rng.uniform(0, np.pi), rng.uniform(15, 35), rng.uniform(2, 3.5)
            along = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
            across = (y - cy) * np.cos(angle) - (x - cx) * np.sin(angle)
            inside = (abs(along) < length) & (abs(across) < width)
        else:
            radius = rng.uniform(7, 13)
            distance = np.hypot(y - cy, x - cx)
            inside = distance < radius
        shown = inside if kind != 2 else inside & (distance > radius - 4)
        near = ndimage.binary_dilation(inside, iterations=2)
        if (taken & near).any():
            continue
        taken |= inside
        labels[inside] = kind
        signal[shown] = 1
    coarse = standard(ndimage.gaussian_filter(rng.normal(size=(size, size)), 6))
    image = 2.2 * ndimage.gaussian_filter(signal, 1) + 0.5 * coarse + 0.8 * rng.normal(size=(size, size))
    return to_bytes(image - image.mean()), labels


def cracks(rng, size=384):
    y, x = np.mgrid[:size, :size]
    bend = 12 * standard(ndimage.gaussian_filter(rng.normal(size=(size, size)), 40))
    labels = (((y + bend) // rng.uniform(40, 70)) % 2).astype("u1")
    fine = rng.normal(size=(size, size))
    coarse = standard(ndimage.gaussian_filter(rng.normal(size=(size, size)), 1.3))
    image = np.where(labels == 1, coarse, fine)
    place, angle, crack = rng.uniform(0.2, 0.8, 2) * size, rng.uniform(0, 2 * np.pi), np.zeros((size, size), bool)
    for _ in range(230):
        row, column = np.clip(place.astype(int), 1, size - 2)
        crack[row : row + 2, column : column + 2] = True
        angle += rng.normal(0, 0.12)
        place = place + (np.sin(angle), np.cos(angle))
        if not ((place > 1) & (place < size - 2)).all():
            angle += np.pi / 2
            place = np.clip(place, 2, size - 3)
    labels[crack] = 2
    image = image - 2.5 * ndimage.gaussian_filter(crack.astype(float), 0.8) + 0.3 * rng.normal(size=(size, size))
    return to_bytes(image), labels


def rings(rng, size=768):
    labels, signal = np.zeros((size, size), "u1"), np.zeros((size, size))
    y, x = np.mgrid[:size, :size]
    taken = np.zeros((size, size), bool)
    for index in range(260):
        kind = 2 if index < 3 else 1
        for _ in range(50):
            cy, cx = rng.uniform(10, size - 10, 2)
            radius = rng.uniform(7, 12)
            distance = np.hypot(y - cy, x - cx)
            if not taken[distance < radius + 3].any():
                break
        else:
            continue
        taken |= distance < radius + 3
        labels[distance < radius] = kind
        signal[distance < radius] = 1.0 if kind == 1 else 1.6
        if kind == 2:
            signal[distance <= 0.6 * radius] = 0.1
    coarse = standard(ndimage.gaussian_filter(rng.normal(size=(size, size)), 5))
    image = 1.5 * ndimage.gaussian_filter(signal, 0.8) + 0.4 * coarse + 0.6 * rng.normal(size=(size, size))
    return to_bytes(image - image.mean()), labels


# What makes an image and its labels, how many images to train on and to test, and the strokes for each class.
PHANTOMS = {kind.__name__: (kind, 4, 3, 3) for kind in (textures, fibres, cracks, rings)} | phantoms.KINDS


def strokes(rng, labels, for_each_class):
    drawn = np.full(labels.shape, NOBODY, "u1")
    for value in np.unique(labels):
        inside = ndimage.binary_erosion(labels == value)
        if not inside.any():
            inside = labels == value
        places = np.argwhere(inside)
        for _ in range(for_each_class):
            place, angle = places[rng.integers(len(places))].astype(float), rng.uniform(0, 2 * np.pi)
            for _ in range(rng.integers(20, 60)):
                row, column = np.round(place).astype(int)
                if not (0 <= row < labels.shape[0] and 0 <= column < labels.shape[1]) or not inside[row, column]:
                    break
                brush = np.s_[max(row - 2, 0) : row + 2, max(column - 2, 0) : column + 2]
                drawn[brush][labels[brush] == value] = value
                angle += rng.normal(0, 0.15)
                place += (np.sin(angle), np.cos(angle))
    return drawn


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    iio.imwrite(path, pixels)


def draw_strokes(folder, draws, images, for_each_class):
    names = sorted(path.name for path in (folder / "train/labels").iterdir())[:images]
    for draw in range(1, draws + 1):
        rng = np.random.default_rng(draw)
        for name in names:
            labels = iio.imread(folder / "train/labels" / name)
            write(folder / f"strokes-{draw}" / name, strokes(rng, labels, for_each_class))
    # Only images with strokes are trained with; the others would be without targets.
    for path in list((folder / "train/images").iterdir()):
        if path.with_suffix(".png").name not in {pathlib.Path(name).with_suffix(".png").name for name in names}:
            path.unlink()


def phantom(name, out, draws):
    rng = np.random.default_rng(sum(map(ord, name)))
    make, training, tests, for_each_class = PHANTOMS[name]
    for part, count in (("train", training), ("test", tests)):
        for index in range(count):
            image, labels = make(rng)
            write(out / name / part / "images" / f"{index:02}.png", image)
            write(out / name / part / "labels" / f"{index:02}.png", labels)
    draw_strokes(out / name, draws, training, for_each_class)


def superalloy(name, data, out, draws):
    for part in ("train", "test"):
        for image in sorted((data / "superalloy" / part / "images").iterdir()):
            labels = data / "superalloy" / part / "labels" / (image.stem + ".png")
            write(out / name / part / "images" / (image.stem + ".png"), iio.imread(image))
            write(out / name / part / "labels" / (image.stem + ".png"), iio.imread(labels))
    images, for_each_class = {"few": (3, 3), "ten": (99, 5)}[name]
    draw_strokes(out / name, draws, images, for_each_class)


def membrane(data, out, draws):
    images = sorted((data / "membrane/images").iterdir(), key=lambda path: int("".join(filter(str.isdigit, path.stem)) or 0))
    for index, image in enumerate(images):
        part = "train" if index < 20 else "test" if index >= 25 else None
        if part is None or (part == "train" and index % 4):
            continue
        labels = iio.imread(data / "membrane/labels" / image.name)
        write(out / "membrane" / part / "images" / f"{index:02}.png", iio.imread(image))
        write(out / "membrane" / part / "labels" / f"{index:02}.png", (labels > 127).astype("u1"))
    draw_strokes(out / "membrane", draws, 5, 3)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--data", type=pathlib.Path)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--only", nargs="*")
    options = parser.parse_args()
    measured = ["few", "ten", "membrane"] if options.data else []
    for name in options.only or measured + list(PHANTOMS):
        shutil.rmtree(options.out / name, ignore_errors=True)
        if name in PHANTOMS:
            phantom(name, options.out, options.draws)
        elif name == "membrane":
            membrane(options.data, options.out, options.draws)
        else:
            superalloy(name, options.data, options.out, options.draws)
        shares = [np.bincount(iio.imread(path).ravel(), minlength=256) for path in (options.out / name / "strokes-1").iterdir()]
        shares = sum(shares)
        labelled = 100 * (1 - shares[NOBODY] / shares.sum())
        print(f"{name}: {labelled:.2f} % of the pixels labelled, by class {shares[:NOBODY][shares[:NOBODY] > 0].tolist()}")


if __name__ == "__main__":
    main()
