"""Writes the scans in this folder: the same projections in each layout. Needs h5py, numpy and tifffile.

    python3 tests/corpus/scans/make.py
"""

import os

import h5py
import numpy
import tifffile

HERE = os.path.dirname(os.path.abspath(__file__))
ANGLES, ROWS, COLUMNS, CENTRE = 45, 3, 48, 22.0
# Radius, x, y (down) from the axis, and absorption a pixel, of discs.
DISCS = [(15.0, 1.0, -2.0, 0.02), (4.0, -5.0, 4.0, 0.03)]

degrees = 180.0 * numpy.arange(ANGLES) / ANGLES
column = numpy.arange(COLUMNS) - CENTRE
lines = numpy.zeros((ANGLES, ROWS, COLUMNS))
for radius, x, y, absorption in DISCS:
    middle = x * numpy.cos(numpy.radians(degrees)) + y * numpy.sin(numpy.radians(degrees))
    inside = radius**2 - (column[None, :] - middle[:, None]) ** 2
    lines += 2.0 * absorption * numpy.sqrt(numpy.maximum(inside, 0.0))[:, None, :]
lines[:, 2] *= 0.5

rows, columns = numpy.mgrid[:ROWS, :COLUMNS]
beam = 30000.0 + 3000.0 * numpy.sin(columns / 7.0) + 500.0 * rows
dark = 100.0 + 10.0 * (columns % 3)
data = numpy.round(dark + beam * numpy.exp(-lines)).astype(numpy.uint16)
flats = numpy.round(numpy.stack([dark + beam + step for step in (-2.0, 0.0, 2.0)])).astype(numpy.uint16)
darks = numpy.round(numpy.stack([dark, dark])).astype(numpy.uint16)


def path(name):
    return os.path.join(HERE, name)


with h5py.File(path("dxchange.h5"), "w") as file:
    exchange = file.create_group("exchange")
    exchange.create_dataset("data", data=data, chunks=(1, ROWS, COLUMNS), compression="gzip")
    exchange.create_dataset("data_white", data=flats)
    exchange.create_dataset("data_dark", data=darks)
    exchange.create_dataset("theta", data=degrees).attrs["units"] = "degrees"
    size = file.create_dataset("measurement/instrument/detector/pixel_size", data=0.65)
    size.attrs["units"] = "micron"

# In radians though its unit says degrees, and no flat fields but their number.
with h5py.File(path("dxchange_radians.h5"), "w") as file:
    file.create_dataset("exchange/data", data=data)
    file.create_dataset("exchange/theta", data=numpy.radians(degrees)).attrs["units"] = "degrees"
    file.create_dataset("process/acquisition/flat_fields/flat_field_value", data=30000.0)

with h5py.File(path("dxchange_bare.h5"), "w") as file:
    file.create_dataset("exchange/data", data=data)

# Flat and dark fields before and after, all in one stack.
with h5py.File(path("nxtomo.nxs"), "w") as file:
    stack = numpy.concatenate([darks[:1], flats[:2], data, flats[2:], darks[1:]])
    key = [2] + [1] * 2 + [0] * ANGLES + [1] + [2]
    angle = [0.0] * 3 + list(degrees) + [180.0] * 2
    entry = file.create_group("entry1/tomo_entry")
    entry.attrs["NX_class"] = "NXentry"
    entry.create_dataset("instrument/detector/data", data=stack)
    entry.create_dataset("instrument/detector/image_key", data=numpy.array(key, dtype=numpy.int32))
    entry.create_dataset("sample/rotation_angle", data=angle).attrs["units"] = "degree"
    entry["data/data"] = entry["instrument/detector/data"]

with h5py.File(path("als.h5"), "w") as file:
    group = file.create_group("20260101_scan")
    group.attrs["nangles"], group.attrs["arange"] = str(ANGLES), str(degrees[-1])
    for number in range(ANGLES):
        group.create_dataset(f"20260101_scan_0000_{number:04}.tif", data=data[number][None])
    for number in range(3):
        group.create_dataset(f"20260101_scanbak_{number:04}_0000.tif", data=flats[number][None])
    for number in range(2):
        group.create_dataset(f"20260101_scandrk_{number:04}_0000.tif", data=darks[number][None])

tifffile.imwrite(path("projections.tif"), data, photometric="minisblack")
tifffile.imwrite(path("flats.tif"), flats, photometric="minisblack")
tifffile.imwrite(path("darks.tif"), darks, photometric="minisblack")
numpy.savetxt(path("angles.txt"), degrees, fmt="%.6f", header="degrees")
