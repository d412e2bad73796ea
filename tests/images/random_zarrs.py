"""Writes COUNT random arrays into FOLDER with zarr-python, from SEED on: `random_zarrs.py FOLDER COUNT SEED`.

Beside each NAME.zarr stand NAME.txt, which says in its first line the number of images and their channels, rows and columns, and
below how it is stored; NAME.f32 with the numbers as float32; and NAME.i64 with those of whole numbers of one channel.
"""

import random
import sys
import warnings
from pathlib import Path

import numcodecs
import numpy as np
import zarr
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, GzipCodec, TransposeCodec, ZstdCodec

warnings.simplefilter("ignore")
folder, count, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
choose = random.Random(seed)
TYPES = ["bool", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"]
BLOSC = ["lz4", "lz4hc", "zstd", "zlib", "blosclz"]


def numbers(shape, dtype, random):
    """Numbers as images have them: noise, steps, or few values in long runs."""
    kind = choose.choice(["noise", "steps", "runs", "zeros"])
    if kind == "noise":
        values = random.integers(0, 100, shape)
    elif kind == "steps":
        values = np.cumsum(random.integers(0, 2, shape), axis=-1)
    elif kind == "runs":
        values = np.repeat(random.integers(0, 4, shape), 7, axis=-1)[..., : shape[-1]]
    else:
        values = np.zeros(shape, int)
    if dtype.kind in "if" and dtype != bool:
        values = values - 40
    if dtype.kind == "f":
        values = values / 8
    return values.astype(dtype)


def packing(version):
    if version == 2:
        shuffle = choose.choice([numcodecs.Blosc.NOSHUFFLE, numcodecs.Blosc.SHUFFLE, numcodecs.Blosc.BITSHUFFLE])
        blosc = numcodecs.Blosc(cname=choose.choice(BLOSC), clevel=choose.randint(0, 9), shuffle=shuffle,
                                blocksize=choose.choice([0, 0, 512, 4096]))
        return choose.choice([None, blosc, blosc, numcodecs.Zstd(choose.randint(1, 19)), numcodecs.GZip(choose.randint(1, 9)),
                              numcodecs.Zlib(1), numcodecs.LZ4()])
    blosc = BloscCodec(cname=choose.choice(BLOSC), clevel=choose.randint(0, 9),
                       shuffle=choose.choice(["noshuffle", "shuffle", "bitshuffle"]))
    codecs = choose.choice([[], [blosc], [blosc], [ZstdCodec(level=choose.randint(1, 19))], [GzipCodec()]])
    return codecs + choose.choice([[], [Crc32cCodec()]])


for number in range(count):
    random_numbers = np.random.default_rng(seed * 100_000 + number)
    version = choose.choice([2, 3])
    axes = choose.choice(["yx", "zyx", "zyx", "czyx", "tczyx", "yxc"])
    length = {"y": choose.randint(1, 90), "x": choose.randint(1, 90), "z": choose.randint(1, 5), "c": choose.randint(1, 3),
              "t": choose.randint(1, 3)}
    shape = tuple(length[axis] for axis in axes)
    dtype = np.dtype(choose.choice(TYPES))
    chunks = tuple(choose.randint(1, length + 3) for length in shape)
    how = {"shape": shape, "chunks": chunks, "zarr_format": version, "compressors": packing(version)}
    big = choose.random() < 0.3
    if version == 2:
        dtype = dtype.newbyteorder(">") if big else dtype
        how["order"] = choose.choice("CF")
        how["chunk_key_encoding"] = {"name": "v2", "separator": choose.choice("./")}
    else:
        how["serializer"] = BytesCodec(endian="big" if big else "little")
        how["chunk_key_encoding"] = choose.choice([{"name": "default", "separator": "/"}, {"name": "default", "separator": "."},
                                                   {"name": "v2", "separator": "."}])
        if choose.random() < 0.3:
            how["filters"] = TransposeCodec(order=tuple(choose.sample(range(len(shape)), len(shape))))
        if choose.random() < 0.5:
            how["shards"] = tuple(chunk * choose.randint(1, 3) for chunk in chunks)
    how["fill_value"] = dtype.type(choose.choice([0, 1]))
    made = zarr.create_array(store=folder / f"{number}.zarr", dtype=dtype, config={"write_empty_chunks": choose.random() < 0.5},
                             dimension_names=axes if version == 3 else None, **how)
    if version == 2:
        made.attrs["_ARRAY_DIMENSIONS"] = list(axes)
    values = numbers(shape, dtype, random_numbers)
    if choose.random() < 0.8:
        made[...] = values
    else:
        # All but a part is the fill value.
        part = (slice(0, (shape[0] + 1) // 2),)
        values = np.concatenate([values[part], np.full_like(values[(shape[0] + 1) // 2 :], how["fill_value"])])
        made[part] = values[part]
    # Images [channel][y][x] along the other axes.
    order = [axis for axis in axes if axis not in "cyx"] + [axis for axis in "cyx" if axis in axes]
    images = values.transpose([axes.index(axis) for axis in order])
    channels = length["c"] if "c" in axes else 1
    images = images.reshape(-1, channels, length["y"], length["x"])
    said = [" ".join(map(str, images.shape)), f"{axes} {shape} {dtype.str} {how}"]
    (folder / f"{number}.txt").write_text("\n".join(said))
    images.astype("<f4").tofile(folder / f"{number}.f32")
    if dtype.kind != "f" and channels == 1:
        images.astype("<i8").tofile(folder / f"{number}.i64")
