"""Writes a dataset slice by slice: growing_hdf5.py FILE KIND COUNT SIDE, where KIND is one of

swmr    it becomes longer, in the mode in which one program writes and others read
plain   it becomes longer, and each slice is flushed
thick   as swmr, in chunks of eight slices
filled  it has its whole length from the beginning
"""

import sys
import time

import h5py
import numpy as np

path, kind, count, side = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
y, x = np.mgrid[:side, :side]
with h5py.File(path, "w", libver=("v110", "v114")) as file:
    data = file.create_dataset(
        "entry/data",
        shape=(count if kind == "filled" else 0, side, side),
        maxshape=(None, side, side),
        chunks=(8 if kind == "thick" else 1, side, side),
        dtype="u1",
        compression="gzip" if kind == "swmr" else None,
    )
    if kind in ("swmr", "thick"):
        file.swmr_mode = True
    file.flush()
    for number in range(count):
        if kind != "filled":
            data.resize(number + 1, axis=0)
        data[number] = (37 * y + 101 * x + 7 * number) % 251
        data.flush()
        file.flush()
        time.sleep(0.1)
    # Whoever reads does not wait until the file is closed.
    time.sleep(1)
