#!/usr/bin/env python3
"""Filtered back-projection by `msd-gpu tomo reconstruct`, scikit-image and ASTRA: how far they agree, and seconds a slice.

    python3 benches/peers/tomography.py target/release/msd-gpu [--rows 32] [--no-seconds]

Needs numpy, scikit-image and astra-toolbox. Both are compared on the same sinograms of ellipses, with zeros as padding and the ramp
filter; differences are relative to the root mean square of the slice, in the disc of 95 % of its width.

ASTRA's back-projection on the CPU is the transpose of a projector, one of three. So that filter and back-projection can be told apart, rows
that are filtered here in float64, by the kernel that all three programs use, are also back-projected by ASTRA.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time

import astra
import numpy
from skimage.transform import iradon

parser = argparse.ArgumentParser()
parser.add_argument("program")
parser.add_argument("--rows", type=int, default=32)
parser.add_argument("--no-seconds", action="store_true", help="only how far they agree")
arguments = parser.parse_args()

# Radius along and across, place, turn and value of ellipses, in half widths of the image.
ELLIPSES = [(0.8, 0.6, 0.0, 0.0, 0.3, 1.0), (0.2, 0.1, 0.3, -0.2, 1.0, -0.5), (0.1, 0.1, -0.4, 0.1, 0.0, 0.7)]


def sinogram(count, columns, centre):
    angles = numpy.pi * numpy.arange(count) / count
    half = (columns - 1) / 2.0
    place = (numpy.arange(columns) - centre)[None, :] / half
    lines = numpy.zeros((count, columns))
    for along, across, x, y, turn, value in ELLIPSES:
        middle = x * numpy.cos(angles) + y * numpy.sin(angles)
        width = (along * numpy.cos(angles - turn)) ** 2 + (across * numpy.sin(angles - turn)) ** 2
        inside = width[:, None] - (place - middle[:, None]) ** 2
        lines += 2 * value * along * across * numpy.sqrt(numpy.maximum(inside, 0)) / width[:, None]
    return (lines * half).astype(numpy.float32), angles


def ours(folder, stack, degrees, *flags):
    scan, out = os.path.join(folder, "scan.npy"), os.path.join(folder, "volume.npy")
    numpy.save(scan, stack)
    command = [arguments.program, "tomo", "reconstruct", scan, "--numbers", "absorption", "--range", str(degrees)]
    begin = time.perf_counter()
    subprocess.run([*command, "--padding", "zeros", "--out", out, *flags], check=True, capture_output=True)
    # A volume of one slice is an image.
    volume = numpy.load(out)
    return volume.reshape(-1, *volume.shape[-2:]), time.perf_counter() - begin


def filtered(lines):
    """Rows convolved with the band-limited ramp, with zeros beyond them."""
    columns = lines.shape[1]
    length = 1 << int(numpy.ceil(numpy.log2(2 * columns)))
    place = numpy.fft.fftfreq(length, 1.0 / length)
    kernel = numpy.where(place == 0, 0.25, 0.0)
    odd = place % 2 != 0
    kernel[odd] = -1.0 / (numpy.pi * place[odd]) ** 2
    spectrum = numpy.fft.fft(lines, length, axis=1) * numpy.fft.fft(kernel).real
    return numpy.fft.ifft(spectrum, axis=1).real[:, :columns]


def by_astra(lines, angles, kind="linear", name="FBP"):
    columns = lines.shape[1]
    projections = astra.create_proj_geom("parallel", 1.0, columns, angles)
    volume = astra.create_vol_geom(columns, columns)
    projector = astra.create_projector(kind, projections, volume)
    source = astra.data2d.create("-sino", projections, lines)
    result = astra.data2d.create("-vol", volume)
    settings = astra.astra_dict(name)
    settings.update(ProjectorId=projector, ReconstructionDataId=result, ProjectionDataId=source)
    algorithm = astra.algorithm.create(settings)
    begin = time.perf_counter()
    astra.algorithm.run(algorithm)
    seconds = time.perf_counter() - begin
    found = astra.data2d.get(result)
    astra.algorithm.delete(algorithm)
    astra.data2d.delete([source, result])
    astra.projector.delete(projector)
    return found, seconds


def difference(found, wanted):
    size = wanted.shape[0]
    row, column = numpy.mgrid[:size, :size] - (size - 1) / 2.0
    disc = numpy.hypot(row, column) < 0.95 * (size - 1) / 2.0
    return float(numpy.sqrt(numpy.mean((found - wanted)[disc] ** 2) / numpy.mean(wanted[disc] ** 2)))


with tempfile.TemporaryDirectory() as folder:
    for columns in (255, 511):
        count = 2 * columns
        lines, angles = sinogram(count, columns, (columns - 1) / 2.0)
        volume, _ = ours(folder, lines[:, None, :], -180, "--centre", str((columns - 1) / 2.0))
        # scikit-image counts from N // 2, which is the middle of an odd number, and turns the other way.
        other = iradon(lines.T, theta=numpy.degrees(angles), filter_name="ramp", circle=True)
        print(json.dumps({"against": "scikit-image", "columns": columns, "difference": difference(volume[0], other)}))
    for columns in (256, 511, 1024):
        count = 2 * columns
        lines, angles = sinogram(count, columns, (columns - 1) / 2.0)
        volumes = {
            degrees: ours(folder, lines[:, None, :], degrees, "--centre", str((columns - 1) / 2.0))[0][0] for degrees in (180, -180)
        }
        for kind in ("linear", "line", "strip"):
            other, _ = by_astra(lines, angles, kind)
            found = {degrees: difference(volume, other) for degrees, volume in volumes.items()}
            plain, _ = by_astra(filtered(lines).astype(numpy.float32), angles, kind, "BP")
            plain = plain * (numpy.pi / count)
            print(json.dumps({
                "against": "ASTRA", "projector": kind, "columns": columns, "difference by range": found,
                "of its filter alone": difference(plain, other),
            }))
    if arguments.no_seconds:
        raise SystemExit
    lines, angles = sinogram(1024, 1024, 511.5)
    stack = numpy.repeat(lines[:, None, :], arguments.rows, axis=1)
    _, seconds = ours(folder, stack, 180, "--centre", "511.5")
    _, one = ours(folder, stack[:, :16], 180, "--centre", "511.5")
    each = (seconds - one) / (arguments.rows - 16)
    _, astra_seconds = by_astra(lines, angles)
    begin = time.perf_counter()
    iradon(lines.T, theta=numpy.degrees(angles), filter_name="ramp", circle=True)
    iradon_seconds = time.perf_counter() - begin
    begin = time.perf_counter()
    scan = os.path.join(folder, "scan.npy")
    centre = subprocess.run(
        [arguments.program, "tomo", "centre", scan, "--numbers", "absorption", "--range", "180"],
        check=True, capture_output=True, text=True,
    )
    search = time.perf_counter() - begin
    print(json.dumps({
        "what": "1024 projections of 1024 columns", "msd-gpu": each, "with files and start": seconds / arguments.rows,
        "ASTRA": astra_seconds, "scikit-image": iradon_seconds,
        "centre": centre.stdout.strip(), "search for the centre at three heights": search,
    }))
