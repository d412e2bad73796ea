"""Writes TIFF files that are stored in random ways, each with the numbers that reading it has to give.

    python random_tiffs.py FOLDER COUNT SEED

Beside `0001.tif` lie `0001.txt` (images, channels, rows and columns), `0001.f32` (the images as little-endian float32,
[image][channel][y][x]) and, of whole numbers in one channel, `0001.i64` (the labels, [image][y][x]).
"""

import collections
import pathlib
import sys

import imagecodecs
import numpy as np
import tifffile

WHOLE = ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8"]
FLOAT = ["f2", "f4", "f8"]
# LZW and zstd more often than others, as two programs have read these wrong.
COMPRESSIONS = [None, "lzw", "lzw", "deflate", "adobe_deflate", "zstd", "zstd", "packbits"]


def random_numbers(random, shape, dtype, bits):
    """Noise, steps or long runs, over the whole range of the type: what compression meets."""
    kind = random.integers(3)
    if dtype in FLOAT:
        values = random.normal(0, 1000, shape).astype(dtype)
        return values if kind else np.round(values)
    most = 2**bits - 1 if bits else min(np.iinfo(dtype).max, 2**62)
    least = max(np.iinfo(dtype).min, -(2**62))
    if kind == 0:
        return random.integers(least, most, shape, endpoint=True).astype(dtype)
    if kind == 1:
        return (np.arange(np.prod(shape)).reshape(shape) // 7 % (min(most, 2**40) + 1)).astype(dtype)
    return np.where(random.random(shape) < 0.02, most, least).astype(dtype)


def reverse_bits(path):
    """Turns the bits of all strips and tiles round, and has the page say so.

    The program that writes the files has no other way: it was made to write a tag 265 that is renamed to 266, FillOrder.
    """
    with tifffile.TiffFile(path) as tif:
        page = tif.pages[0]
        segments = list(zip(page.dataoffsets, page.databytecounts))
        place = page.tags[265].offset
        order = tif.byteorder
    with open(path, "r+b") as file:
        file.seek(place)
        file.write(np.array(266, order + "u2").tobytes())
        for offset, count in segments:
            file.seek(offset)
            packed = file.read(count)
            file.seek(offset)
            file.write(imagecodecs.bitorder_decode(packed))


def write_axes(random, path, options):
    """Writes a file of several pages whose axes its description says."""
    program = ["shaped", "ome", "imagej"][random.integers(3)]
    dtype = str(random.choice(["u1", "u2", "f4"] if program == "imagej" else ["u1", "u2", "i2", "f4", "f8"]))
    letters = "TZC" if program == "imagej" else "".join(random.permutation(list("TZC")))
    letters = "".join(letter for letter in letters if random.random() < 0.6) or "C"
    lengths = [int(random.integers(2, 5)) for _ in letters]
    height, width = (int(side) for side in random.integers(2, 40, 2))
    numbers = random_numbers(random, (*lengths, height, width), dtype, None)
    options.update(
        metadata={"axes": letters + "YX"},
        photometric="minisblack",
        byteorder=str(random.choice(["<", ">"])),
        imagej=program == "imagej",
        ome=program == "ome",
    )
    if program != "imagej":
        options["compression"] = [None, "lzw", "deflate"][random.integers(3)]
        if random.random() < 0.3:
            options["tile"] = (16, 32)
    tifffile.imwrite(path, numbers, **options)
    options["dtype"] = dtype
    assert np.array_equal(tifffile.imread(path), numbers), options
    images = np.moveaxis(numbers, letters.index("C"), -3) if "C" in letters else np.expand_dims(numbers, -3)
    return images.reshape(-1, *images.shape[-3:])


def write(random, path, options):
    if random.random() < 0.3:
        images = write_axes(random, path, options)
    else:
        images = write_page(random, path, options)[np.newaxis]
    path.with_suffix(".txt").write_text(f"{' '.join(str(side) for side in images.shape)}\n{options}\n")
    path.with_suffix(".f32").write_bytes(images.astype("<f4").tobytes())
    if images.shape[1] == 1 and images.dtype.kind in "ui":
        path.with_suffix(".i64").write_bytes(images.astype("<i8").tobytes())


def write_page(random, path, options):
    """Writes a file of one page, stored in any way."""
    dtype = str(random.choice(WHOLE + FLOAT))
    bits = None
    if dtype in ("u1", "u2") and random.random() < 0.4:
        bits = int(random.integers(1, 8) if dtype == "u1" else random.integers(9, 16))
    channels = int(random.choice([1, 1, 1, 2, 3, 3, 4, 7]))
    planar = channels > 1 and bool(random.integers(2))
    height, width = (int(side) for side in random.integers(1, 150, 2))
    shape = (height, width) if channels == 1 else (channels, height, width) if planar else (height, width, channels)
    numbers = random_numbers(random, shape, dtype, bits)

    # The program packs bits in files of one byte order only, and without compression.
    compression = None if bits else COMPRESSIONS[random.integers(len(COMPRESSIONS))]
    predictor = None
    if compression not in (None, "packbits") and bits is None and random.random() < 0.6:
        predictor = int(random.choice([2, 3])) if dtype in FLOAT else 2
    reverse = bool(random.random() < 0.3)
    layout = random.integers(3)
    if layout == 0:
        options["tile"] = tuple(int(side) * 16 for side in random.integers(1, 8, 2))
    elif layout == 1:
        options["rowsperstrip"] = int(random.integers(1, height + 5))
    if channels > 1:
        options["planarconfig"] = "separate" if planar else "contig"
        if channels != 3:
            options["extrasamples"] = ["unspecified"] * (channels - 1)
    if reverse:
        options["extratags"] = [(265, 3, 1, 2, True)]
    options["byteorder"] = "<" if bits else str(random.choice(["<", ">"]))
    options["bigtiff"] = bool(random.random() < 0.2)
    options.update(
        photometric="rgb" if channels == 3 else "minisblack",
        compression=compression,
        predictor=predictor,
        bitspersample=bits,
        metadata=None,
    )
    tifffile.imwrite(path, numbers, **options)
    options["reversed"] = reverse
    options["dtype"] = dtype
    if reverse:
        reverse_bits(path)
    # What another program reads must be what was written, else the file is wrong.
    assert np.array_equal(tifffile.imread(path), numbers), options

    return numbers if planar else np.moveaxis(np.atleast_3d(numbers), 2, 0)


def main():
    folder, count, seed = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    refused = collections.Counter()
    number = 0
    while number < count:
        path = folder / f"{number:04}.tif"
        try:
            write(random, path, {})
        except (ValueError, NotImplementedError, TypeError) as error:
            # Combinations that the program does not write.
            refused[str(error)] += 1
            path.unlink(missing_ok=True)
            assert sum(refused.values()) < 10 * count, refused
            continue
        number += 1
    print(f"{count} files; not written: {dict(refused)}")


main()
