#!/usr/bin/env python3
"""Foam denoised with clean targets, without any, and by what people use instead of a network.

    foam.py PROGRAM FOLDER --scan many|few [--steps N] [--seeds K]      learnt from scans that are made: supervised and Noise2Inverse
    foam.py PROGRAM FOLDER --images DIR --targets DIR [--steps N]       single images: blind spot beside Gaussian, TV and non-local means
    ... --white                                                         the same of the targets with white noise of as much error

With --scan two pieces of foam are scanned (`tomo simulate foam`), 24 slices to train on and 12 of the other to test: `many` are 512
projections of 400 photons, `few` are 64 of 4000. Both networks take equal steps of the same size. One learns to make the reconstruction
of 512 noise-free projections from the noisy one, the other one of four splits of the noisy projections from the mean of the three others.

Gaussian, total variation and non-local means (scikit-image) are given the parameters that are best on the very images that are judged,
which nobody could choose; so they are as good as they can be.

PSNR in dB of all pixels, of the range 0 to the foam's material (--data-range with --images), as means over slices. FOLDER keeps what was
made. Needs numpy, tifffile, scikit-image."""

import argparse
import json
import pathlib
import subprocess

import numpy
import tifffile

MATERIAL = 2 / 256  # the attenuation that `tomo simulate` gives, in 1/pixel
SCANS = {"many": (512, 400), "few": (64, 4000)}
SPLITS = 4

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("program", type=pathlib.Path)
parser.add_argument("folder", type=pathlib.Path)
parser.add_argument("--scan", choices=SCANS)
parser.add_argument("--images", type=pathlib.Path)
parser.add_argument("--targets", type=pathlib.Path)
parser.add_argument("--white", action="store_true")
parser.add_argument("--data-range", type=float, default=1)
parser.add_argument("--steps", type=int, default=3000)
parser.add_argument("--depth", type=int, default=50)
parser.add_argument("--seeds", type=int, default=1)
options = parser.parse_args()
options.program = options.program.resolve()
folder = options.folder
folder.mkdir(parents=True, exist_ok=True)


def run(*words):
    subprocess.run([str(options.program), "-q", *map(str, words)], check=True, stdout=subprocess.DEVNULL)


def psnr(images, targets, span):
    return float(numpy.mean([10 * numpy.log10(span**2 / numpy.mean((a - b) ** 2)) for a, b in zip(images, targets)]))


def train(out, *words):
    if not (out / "model.msd").exists():
        schedule = ["--schedule", "cosine", "--lr-steps", options.steps, "--max-steps", options.steps, "--ema", 0.999]
        run("train", "denoise", *words, "--device", "cpu", "--depth", options.depth, *schedule, "--out", out)


def predicted(out, model, *inputs):
    """All slices that the model gives for the inputs, in order."""
    run("predict", *inputs, "--model", model, "--out", out, "--device", "cpu", "--resume")
    files = sorted(path for path in out.iterdir() if path.suffix == ".tif")
    return numpy.concatenate([numpy.atleast_3d(tifffile.imread(path)).reshape((-1,) + tifffile.imread(path).shape[-2:]) for path in files])


def scans():
    projections, photons = SCANS[options.scan]
    for piece, seed, slices in (("train", 1, 24), ("test", 2, 12)):
        place = folder / f"{options.scan}-{piece}"
        if (place / "clean.tif").exists():
            continue
        place.mkdir(exist_ok=True)
        simulate = ["tomo", "simulate", "foam", "--slices", slices, "--spacing", 4, "--seed", seed]
        run(*simulate, "--projections", projections, "--photons", photons, "--out", place / "noisy.h5")
        run(*simulate, "--projections", 512, "--noise-free", "--out", place / "clean.h5")
        for name in ("noisy", "clean"):
            run("tomo", "reconstruct", place / f"{name}.h5", "--centre", 127.5, "--out", place / f"{name}.tif")
        run("tomo", "reconstruct", place / "noisy.h5", "--centre", 127.5, "--split", SPLITS, "--out", place / "split.tif")
    train_place, test_place = (folder / f"{options.scan}-{piece}" for piece in ("train", "test"))
    clean = tifffile.imread(test_place / "clean.tif")
    result = {"projections": projections, "photons": photons, "steps": options.steps}
    result["input"] = psnr(tifffile.imread(test_place / "noisy.tif"), clean, MATERIAL)
    parts = [f"split_{k}.tif" for k in range(SPLITS)]
    for seed in range(1, options.seeds + 1):
        model = folder / f"{options.scan}-supervised-{options.steps}-{seed}"
        train(model, "--images", train_place / "noisy.tif", "--targets", train_place / "clean.tif", "--seed", seed)
        images = predicted(folder / f"{model.name}-results", model, test_place / "noisy.tif")
        result.setdefault("supervised", []).append(psnr(images, clean, MATERIAL))
        model = folder / f"{options.scan}-splits-{options.steps}-{seed}"
        train(model, "--splits", *(train_place / part for part in parts), "--seed", seed)
        images = predicted(folder / f"{model.name}-results", model, *(test_place / part for part in parts))
        result.setdefault("noise2inverse", []).append(psnr(images, clean, MATERIAL))
    return result


def best(noisy, targets, method, parameters):
    """The largest mean PSNR over the parameters, and which it was."""
    found = [(psnr([method(image, value) for image in noisy], targets, options.data_range), value) for value in parameters]
    return max(found)


def single():
    from scipy.ndimage import gaussian_filter
    from skimage.restoration import denoise_nl_means, denoise_tv_chambolle

    names = sorted(path.name for path in options.images.iterdir())
    noisy = [tifffile.imread(options.images / name).astype("f4") for name in names]
    targets = [tifffile.imread(options.targets / name).astype("f4") for name in names]
    inputs = options.images
    if options.white:
        spread = numpy.sqrt(numpy.mean([(a - b) ** 2 for a, b in zip(noisy, targets)]))
        random = numpy.random.default_rng(1)
        noisy = [(image + random.normal(0, spread, image.shape)).astype("f4") for image in targets]
        inputs = folder / "white"
        inputs.mkdir(exist_ok=True)
        for name, image in zip(names, noisy):
            tifffile.imwrite(inputs / name, image)
    spread = float(numpy.sqrt(numpy.mean([(a - b) ** 2 for a, b in zip(noisy, targets)])))
    result = {"steps": options.steps, "noise": spread, "input": psnr(noisy, targets, options.data_range)}
    result["gaussian"] = best(noisy, targets, gaussian_filter, [0.5, 0.7, 1, 1.4, 2, 2.8])
    weights = [spread * share for share in (0.5, 0.7, 1, 1.4, 2, 2.8)]
    result["total variation"] = best(noisy, targets, lambda image, weight: denoise_tv_chambolle(image, weight, max_num_iter=200), weights)
    means = lambda image, h: denoise_nl_means(image, 5, 6, h, sigma=spread, fast_mode=True)
    result["non-local means"] = best(noisy, targets, means, [spread * share for share in (0.3, 0.5, 0.7, 1, 1.4)])
    kind = "white" if options.white else "own"
    model = folder / f"alone-{kind}-{options.steps}"
    train(model, "--alone", "--images", inputs)
    result["blind spot"] = psnr(predicted(folder / f"{model.name}-results", model, inputs), targets, options.data_range)
    return result


print(json.dumps(scans() if options.scan else single(), indent=1))
