"""What the tests share: small images, and models that were trained on them."""

import signal

import msd_gpu
import numpy as np
import pytest

# A shell starts what runs in the background with Ctrl-C ignored, and then nothing would interrupt anything.
signal.signal(signal.SIGINT, signal.default_int_handler)

QUICK = {"device": "cpu", "depth": 3, "crop": 0, "lr": 0.01, "seed": 3}


def discs(count=4, size=(24, 30)):
    """Bright discs in noise, and where they are: 7 in 2."""
    random = np.random.default_rng(1)
    y, x = np.mgrid[: size[0], : size[1]]
    inside = np.stack([np.hypot(y - 8 - i, x - 10 - 2 * i) < 6 for i in range(count)])
    images = 40 + 60 * inside + random.normal(0, 5, inside.shape)
    return images.astype(np.uint8), np.where(inside, 7, 2)


@pytest.fixture(scope="session")
def segmentation():
    images, labels = discs()
    # Filters that reach 4 pixels, as images are small.
    return msd_gpu.train(images, labels, task="segment", stem="0.7", max_steps=150, val_fraction=0.25, **QUICK)


@pytest.fixture(scope="session")
def regression():
    """One channel in, two out."""
    images, _ = discs()
    pairs = np.stack([images, 255 - images], 1)
    return msd_gpu.train(images, 1000 + 2.0 * pairs, task="regress", max_steps=100, **QUICK)


@pytest.fixture(scope="session")
def denoiser():
    """One channel in, one out."""
    images, _ = discs()
    return msd_gpu.train(list(images), list(images), task="regress", max_steps=2, **QUICK)


@pytest.fixture(scope="session")
def colour():
    """Three channels in."""
    images, labels = discs()
    channels = np.stack([images, 255 - images, images // 2], 1)
    return msd_gpu.train(channels, labels, task="segment", max_steps=20, **QUICK)
