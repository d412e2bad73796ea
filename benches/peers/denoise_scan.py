#!/usr/bin/env python3
"""How near `msd-gpu tomo denoise` comes to a scan of many photons from the same scan with few.

    python3 benches/peers/denoise_scan.py target/release/msd-gpu tooth.h5 [--photons 400] [--minutes 4] [--centre auto]

Reads a scan as DXchange lays it out, and counts it again with few photons (Poisson). Both are reconstructed by filtered back-projection; the
noisy one is denoised. PSNR is in the circle that all projections show, with the range of the reconstruction of all photons in it as data
range. Needs numpy, h5py and tifffile.
"""

import argparse
import os
import subprocess
import tempfile

import h5py
import numpy
import tifffile

parser = argparse.ArgumentParser()
parser.add_argument("program")
parser.add_argument("scan")
parser.add_argument("--photons", type=int, default=400)
parser.add_argument("--minutes", default="4")
parser.add_argument("--centre", default="auto")
parser.add_argument("--device", default="cpu")
arguments = parser.parse_args()
program, scan = os.path.abspath(arguments.program), os.path.abspath(arguments.scan)

with h5py.File(scan) as file:
    data = file["exchange/data"][:].astype(float)
    flat = file["exchange/data_white"][:].astype(float).mean(0)
    dark = file["exchange/data_dark"][:].astype(float).mean(0)
    theta = file["exchange/theta"][:]
shares = numpy.clip((data - dark) / (flat - dark), 1e-4, None)
counts = numpy.random.default_rng(0).poisson(arguments.photons * shares)

with tempfile.TemporaryDirectory() as folder:

    def run(*words):
        subprocess.run([program, "-q", "tomo", *words], cwd=folder, check=True, stdout=subprocess.DEVNULL)

    with h5py.File(os.path.join(folder, "noisy.h5"), "w") as file:
        file["exchange/data"] = counts.astype(numpy.uint16)
        file["exchange/data_white"] = numpy.full((1,) + data.shape[1:], arguments.photons, numpy.uint16)
        file["exchange/data_dark"] = numpy.zeros((1,) + data.shape[1:], numpy.uint16)
        file["exchange/theta"] = theta
    run("reconstruct", scan, "--centre", arguments.centre, "--out", "clean.tif")
    run("reconstruct", "noisy.h5", "--centre", arguments.centre, "--out", "noisy.tif")
    limits = ["--minutes", arguments.minutes, "--device", arguments.device]
    run("denoise", "noisy.h5", "--centre", arguments.centre, "--out", "denoised.tif", *limits)
    clean, noisy, denoised = (tifffile.imread(os.path.join(folder, f"{name}.tif")) for name in ("clean", "noisy", "denoised"))

size = clean.shape[-1]
y, x = numpy.mgrid[:size, :size] - (size - 1) / 2
inside = numpy.hypot(x, y) < size / 2 - 2
for row in range(len(clean)):
    values = clean[row][inside]
    spread = values.max() - values.min()

    def psnr(volume):
        return 10 * numpy.log10(spread**2 / numpy.mean((volume[row][inside] - values) ** 2))

    print(f"slice {row}: {psnr(noisy):.2f} dB, denoised {psnr(denoised):.2f} dB")
