"""Reads TIFF, OME-TIFF and BigTIFF files with tifffile, and checks their numbers, types, axes and sizes of pixels.

    python read_tiffs.py FOLDER

The file wanted.json in the folder has a list of the files and of what they are to hold.
"""

import json
import pathlib
import sys
import xml.etree.ElementTree

import numpy as np
import tifffile

ROWS, COLUMNS = 5, 6


def expected(channels, images, dtype):
    """The numbers, `[image][channel][y][x]`."""
    z, c, y, x = np.ogrid[:images, :channels, :ROWS, :COLUMNS]
    return ((c * 91 + z * 31 + y * 7 + x) % 120).astype(dtype)


def check_ome(file, wanted):
    text = file.ome_metadata
    pixels = next(e for e in xml.etree.ElementTree.fromstring(text).iter() if e.tag.endswith("}Pixels"))
    for axis, size in zip("ZYX", wanted["size"]):
        assert float(pixels.get(f"PhysicalSize{axis}")) == size, text
        assert pixels.get(f"PhysicalSize{axis}Unit") == "\u00b5m", text
    channels = [e for e in pixels if e.tag.endswith("}Channel")]
    assert len(channels) == wanted["channels"], text
    names = {"float32": "float", "float64": "double"}
    assert pixels.get("Type") == names.get(wanted["type"], wanted["type"]), text


def check_resolution(page, unit, wanted):
    assert page.tags["ResolutionUnit"].value == unit
    for axis, size in zip("YX", wanted["size"][1:]):
        n, d = page.tags[f"{axis}Resolution"].value
        assert np.isclose(d / n * (10000 if unit == 3 else 1), size), (axis, n, d)


def check(folder, wanted):
    with tifffile.TiffFile(folder / wanted["file"]) as file:
        assert file.is_ome == wanted["ome"], file.pages[0].description
        assert file.is_bigtiff == wanted["big"]
        series = file.series[0]
        assert len(file.series) == 1
        assert series.axes == wanted["axes"], series.axes
        assert list(series.shape) == wanted["shape"], series.shape
        found = series.asarray()
        assert found.dtype == wanted["type"], found.dtype
        shape = wanted["shape"]
        images = int(np.prod(shape[:-2])) // wanted["channels"]
        assert np.array_equal(found, expected(wanted["channels"], images, found.dtype).reshape(shape))
        if file.is_ome:
            check_ome(file, wanted)
            check_resolution(file.pages[0], 3, wanted)
        elif file.is_shaped:
            # Types that neither ImageJ nor OME-XML have.
            assert file.shaped_metadata[0]["spacing"] == wanted["size"][0], file.shaped_metadata
            assert file.shaped_metadata[0]["unit"] == "um"
            check_resolution(file.pages[0], 3, wanted)
        else:
            assert file.imagej_metadata["spacing"] == wanted["size"][0], file.imagej_metadata
            assert file.imagej_metadata["unit"] == "micron"
            check_resolution(file.pages[0], 1, wanted)


if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[1])
    files = json.loads((folder / "wanted.json").read_text())
    assert len(files) > 10, len(files)
    for wanted in files:
        try:
            check(folder, wanted)
        except Exception as error:
            raise SystemExit(f"{wanted}: {error!r}") from error
