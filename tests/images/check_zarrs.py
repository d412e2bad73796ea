"""Opens the Zarr folders that a test of msd-gpu wrote into a folder with zarr-python, ome-zarr and ome-zarr-models, and compares
axes, sizes, levels, numbers, and the colours and names of classes with what was to be written.

Beside NAME.zarr stands NAME.raw with the numbers of its images, one image after the other, each [channel][y][x].
"""

import sys
from pathlib import Path

import numpy as np
import ome_zarr_models
import zarr
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader

# By the beginning of the name: type, axes, shape, and from which axes of the images those of the array come.
KINDS = {
    "values": ("float32", "zyx", (4, 300, 1030), (4, 300, 1030), (0, 1, 2)),
    # Images lie along z and t, each with its channels.
    "channels": ("float32", "tczyx", (2, 2, 3, 30, 40), (3, 2, 2, 30, 40), (1, 2, 0, 3, 4)),
    "plane": ("uint8", "yx", (30, 40), (30, 40), (0, 1)),
    "labels": ("uint8", "zyx", (3, 20, 600), (3, 20, 600), (0, 1, 2)),
}
SIZES = {"t": 1, "c": 1, "z": 2.0, "y": 0.5, "x": 0.25}


def check_levels(group, ome, dtype, axes, wanted, labels):
    (image,) = ome["multiscales"]
    assert [axis["name"] for axis in image["axes"]] == list(axes), image["axes"]
    for axis in image["axes"]:
        kind = {"t": "time", "c": "channel"}.get(axis["name"], "space")
        assert axis["type"] == kind and axis.get("unit") == ("micrometer" if kind == "space" else None), axis
    level = wanted
    for number, dataset in enumerate(image["datasets"]):
        (change,) = dataset["coordinateTransformations"]
        factor = {"y": 2**number, "x": 2**number}
        assert change == {"type": "scale", "scale": [SIZES[axis] * factor.get(axis, 1) for axis in axes]}, change
        found = group[dataset["path"]]
        assert found.dtype == dtype, found.dtype
        assert found.shape == level.shape, (found.shape, level.shape)
        if number == 0 or labels:
            np.testing.assert_array_equal(found[...], level)
        else:
            np.testing.assert_allclose(found[...], level, rtol=1e-5)
        # The next one.
        if labels:
            level = level[..., ::2, ::2]
        else:
            rows, columns = level.shape[-2:]
            even = np.pad(level.astype("f8"), [(0, 0)] * (level.ndim - 2) + [(0, rows % 2), (0, columns % 2)], mode="edge")
            squares = even.reshape(*level.shape[:-2], (rows + 1) // 2, 2, (columns + 1) // 2, 2)
            level = squares.mean(axis=(-3, -1)).astype(dtype)
    assert max(found.shape[-2:]) <= 256, found.shape
    assert len(image["datasets"]) == 1 or max(group[image["datasets"][-2]["path"]].shape[-2:]) > 256


def ome_of(group):
    attributes = dict(group.attrs)
    return attributes.get("ome", attributes)


def check(path):
    kind, version = path.stem.split("_")
    dtype, axes, shape, of_images, order = KINDS[kind]
    wanted = np.fromfile(path.with_suffix(".raw"), dtype).reshape(of_images).transpose(order)
    assert wanted.shape == shape
    group = zarr.open_group(path, mode="r")
    assert group.metadata.zarr_format == (2 if version == "V04" else 3)
    ome = ome_of(group)
    assert version == "V04" or ome["version"] == "0.5"
    check_levels(group, ome, dtype, axes, wanted, kind == "labels")
    # Checked against the words of the format.
    ome_zarr_models.open_ome_zarr(group)
    nodes = list(Reader(parse_url(path))())
    image = nodes[0]
    np.testing.assert_array_equal(np.asarray(image.data[0]), wanted)
    assert [axis["name"] for axis in image.metadata["axes"]] == list(axes)
    if kind == "labels":
        labels = zarr.open_group(path, mode="r", path="labels")
        assert ome_of(labels)["labels"] == [path.stem], dict(labels.attrs)
        cells = labels[path.stem]
        check_levels(cells, ome_of(cells), dtype, axes, wanted, True)
        ome_zarr_models.open_ome_zarr(cells)
        (node,) = [node for node in nodes if node.metadata.get("color")]
        assert node.metadata["color"][1] == [1, 128 / 255, 0, 1], node.metadata
        assert node.metadata["color"][0][3] == 0, node.metadata
        assert node.metadata["properties"][2] == {"name": "wall"}, node.metadata
        np.testing.assert_array_equal(np.asarray(node.data[0]), wanted)


folders = sorted(Path(sys.argv[1]).glob("*.zarr"))
assert len(folders) == 8, folders
for folder in folders:
    try:
        check(folder)
    except Exception as error:
        error.add_note(str(folder))
        raise
