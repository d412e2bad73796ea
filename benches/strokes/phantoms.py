"""Further phantoms of the stroke benchmark, of kinds that microscopes and scanners give: each function makes an image and its labels.

    colour     stained tissue: stroma, epithelium, openings and small nuclei, each image stained a little otherwise
    uneven     cells with nuclei, each as bright as it is by itself, under light that falls off, with photon noise
    vessels    thin branching lines that are darker than an uneven ground
    shapes     discs and squares of one grey value in noise: their outline alone tells them
    tiny       one image of 96 x 96 pixels in noise, with one stroke for each class
    layers     layers under speckle, as optical coherence tomography shows them

`KINDS` has the numbers of training and of test images and the strokes for each class. Needs numpy and scipy."""

import numpy as np
from scipy import ndimage


def smooth(rng, size, sigma, **how):
    return ndimage.gaussian_filter(rng.normal(size=(size, size)), sigma, **how)


def standard(x):
    return (x - x.mean()) / x.std()


def grey(image):
    return np.clip(image, 0, 255).astype("u1")


def colour(rng, size=384):
    tissue = np.argmax([smooth(rng, size, 12, mode="wrap") * s for s in (1, 1, 0.9)], 0)
    labels = tissue.astype("u1")
    stain = rng.uniform(0.8, 1.2, 3)
    image = (np.array([[205, 130, 170], [180, 110, 180], [235, 230, 235]], float) * stain)[labels]
    fibres = standard(smooth(rng, size, (0.8, 4)))
    image += (labels == 0)[..., None] * fibres[..., None] * 12
    y, x = np.mgrid[:size, :size]
    for _ in range(500):
        row, column = rng.integers(0, size, 2)
        if tissue[row, column] == 2 or (tissue[row, column] == 0 and rng.random() < 0.75):
            continue
        radius = rng.uniform(3, 6)
        nucleus = ((y - row) ** 2 + (x - column) ** 2 * rng.uniform(0.6, 1.6)) < radius**2
        labels[nucleus] = 3
        image[nucleus] = np.array([90, 60, 140]) * stain * rng.uniform(0.8, 1.2)
    return grey(ndimage.gaussian_filter(image, (0.8, 0.8, 0)) + rng.normal(size=image.shape) * 8), labels


def uneven(rng, size=512):
    y, x = np.mgrid[:size, :size]
    labels, signal = np.zeros((size, size), "u1"), np.zeros((size, size))
    for _ in range(90):
        (row, column), (a, b) = rng.uniform(0, size, 2), rng.uniform(12, 26, 2)
        angle, bright = rng.uniform(0, np.pi), rng.uniform(0.5, 1.5)
        u = (x - column) * np.cos(angle) + (y - row) * np.sin(angle)
        v = (y - row) * np.cos(angle) - (x - column) * np.sin(angle)
        cell = (u / a) ** 2 + (v / b) ** 2 < 1
        if (labels[cell] > 0).any():
            continue
        labels[cell], signal[cell] = 1, bright
        share = rng.uniform(0.35, 0.5)
        nucleus = ((u - 2) / (a * share)) ** 2 + ((v + 1) / (b * share)) ** 2 < 1
        labels[nucleus], signal[nucleus] = 2, bright * 1.6
    light = np.clip(1 + 225 * smooth(rng, size, 120), 0.3, 3)
    photons = 60 * ndimage.gaussian_filter(light * (signal + 0.6), 1.2)
    return rng.poisson(np.clip(photons, 0, None)).astype("u2"), labels


def vessels(rng, size=512):
    labels = np.zeros((size, size), "u1")
    y, x = np.mgrid[:size, :size]
    for _ in range(14):
        place, angle, width = rng.uniform(0, size, 2), rng.uniform(0, 6.3), rng.uniform(1, 3.5)
        for _ in range(500):
            row, column = place.astype(int)
            if not (0 <= row < size and 0 <= column < size):
                break
            reach = int(np.ceil(width))
            near = np.s_[max(row - reach, 0) : row + reach + 1, max(column - reach, 0) : column + reach + 1]
            labels[near][(y[near] - row) ** 2 + (x[near] - column) ** 2 < width**2] = 1
            angle += rng.normal(0, 0.08)
            place = place + (np.sin(angle), np.cos(angle))
            width = max(0.9, width * 0.9985)
    ground = 120 + 30 * standard(smooth(rng, size, 40)) + 12 * standard(smooth(rng, size, 4))
    return grey(ground - 35 * ndimage.gaussian_filter(labels.astype(float), 1) + rng.normal(size=labels.shape) * 10), labels


def shapes(rng, size=512):
    y, x = np.mgrid[:size, :size]
    labels = np.zeros((size, size), "u1")
    for _ in range(60):
        (row, column), radius = rng.uniform(30, size - 30, 2), rng.uniform(14, 30)
        kind, angle = rng.integers(1, 3), rng.uniform(0, np.pi)
        u = (x - column) * np.cos(angle) + (y - row) * np.sin(angle)
        v = (y - row) * np.cos(angle) - (x - column) * np.sin(angle)
        inside = u * u + v * v < radius**2 if kind == 1 else np.maximum(abs(u), abs(v)) < 0.88 * radius
        if (labels[ndimage.binary_dilation(inside, iterations=3)] > 0).any():
            continue
        labels[inside] = kind
    image = 90 + 60 * (labels > 0) + rng.normal(size=labels.shape) * 35
    return grey(ndimage.gaussian_filter(image, 0.7)), labels


def tiny(rng, size=96):
    labels = np.argmax([smooth(rng, size, 7, mode="wrap") for _ in range(3)], axis=0).astype("u1")
    image = np.array([80, 120, 160])[labels] + rng.normal(size=labels.shape) * 30
    return grey(image + (labels == 1) * 20 * np.sin(1.5 * np.arange(size))[None]), labels


def layers(rng, size=448):
    y = np.mgrid[:size, :size][0]
    labels, border = np.zeros((size, size), "u1"), np.full(size, 60.0)
    for layer in range(1, 5):
        border = border + rng.uniform(25, 70) + 8 * standard(ndimage.gaussian_filter1d(rng.normal(size=size), 40))
        labels[y >= border[None]] = layer
    speckle = rng.exponential(size=labels.shape)
    return grey(ndimage.gaussian_filter(np.array([20, 120, 60, 150, 90])[labels] * speckle, (0.6, 1))), labels


KINDS = {
    "colour": (colour, 4, 3, 3),
    "uneven": (uneven, 3, 3, 3),
    "vessels": (vessels, 3, 3, 4),
    "shapes": (shapes, 4, 3, 4),
    "tiny": (tiny, 1, 4, 1),
    "layers": (layers, 2, 3, 2),
}
