"""Reads stacks in HDF5, MRC, NIfTI and NPY files, and checks their numbers, axes and sizes of pixels.

    python read_stacks.py FOLDER

A file is called CHANNELS_IMAGES_TYPE.ENDING.
"""

import json
import pathlib
import sys

import h5py
import mrcfile
import nibabel
import numpy as np

ROWS, COLUMNS = 5, 6


def expected(channels, images, dtype):
    """The numbers, `[channel][image][y][x]`."""
    c, z, y, x = np.ogrid[:channels, :images, :ROWS, :COLUMNS]
    return ((c * 91 + z * 31 + y * 7 + x) % 120).astype(dtype)


def read_mrc(path):
    with mrcfile.open(path) as file:
        size = file.voxel_size
        assert np.allclose([size.z, size.y, size.x], [20000, 7000, 5000]), size
        assert file.is_volume()
        found = file.data.copy()
    assert mrcfile.validate(path, print_file=sys.stderr)
    return found


def read_nifti(path):
    image = nibabel.load(path)
    assert image.header.get_xyzt_units()[0] == "micron"
    assert np.allclose(image.header.get_zooms()[:2], [0.5, 0.7])
    assert np.allclose(np.diag(image.affine), [0.5, 0.7, 2, 1])
    return np.asarray(image.dataobj).T, image.get_data_dtype()


def read_hdf5(path):
    with h5py.File(path) as file:
        assert list(file) == ["data"]
        data = file["/data"]
        assert np.allclose(data.attrs["element_size_um"], [2, 0.7, 0.5])
        tags = json.loads(data.attrs["axistags"])
        axes = "".join(axis["key"] for axis in tags["axes"])
        assert [dim.label for dim in data.dims] == list(axes)
        if data.dtype.kind != "f":
            assert data.compression == "gzip" and data.shuffle, data.compression
            assert data.chunks[-2:] == (ROWS, COLUMNS)
        return data[...], data[-1], axes


def check(path):
    channels, images, dtype = path.stem.split("_")
    channels, images = int(channels), int(images)
    wanted = expected(channels, images, dtype)
    if path.suffix == ".npy":
        found = np.load(path)
        shape = ([images] if images > 1 else []) + ([channels] if channels > 1 else []) + [ROWS, COLUMNS]
        assert list(found.shape) == shape and found.dtype == dtype, found.shape
        found = found.reshape(images, channels, ROWS, COLUMNS).swapaxes(0, 1)
    elif path.suffix == ".mrc":
        found = read_mrc(path)
        assert found.dtype == ("uint16" if dtype == "uint8" else dtype), found.dtype
        found = found.reshape(1, images, ROWS, COLUMNS)
    elif path.suffix == ".nii":
        found, stored = read_nifti(path)
        assert stored == dtype, stored
        found = found.reshape(channels, images, ROWS, COLUMNS)
    else:
        found, last, axes = read_hdf5(path)
        assert axes == ("z" if images > 1 else "") + ("c" if channels > 1 else "") + "yx", axes
        assert found.dtype == dtype and np.array_equal(found[-1], last)
        found = found.reshape(images, channels, ROWS, COLUMNS).swapaxes(0, 1)
    assert np.array_equal(found, wanted)


if __name__ == "__main__":
    paths = sorted(pathlib.Path(sys.argv[1]).iterdir())
    assert len(paths) > 40, len(paths)
    for path in paths:
        try:
            check(path)
        except Exception as error:
            raise SystemExit(f"{path.name}: {error!r}") from error
