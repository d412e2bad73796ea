"""Writes the Zarr folders of this corpus beside itself: `python make.py`, with zarr 3.1 and ome-zarr 0.18.

Number i of each array, counted in C order, is n = (31 i i + 7 i) mod 251: as it is in uint8, 257 n in wider unsigned types,
n - 125 in signed ones, (n - 125) / 4 in floats, and whether n is odd in bool.
"""

import json
import shutil
from pathlib import Path

import numcodecs
import numpy as np
import ome_zarr.format
import ome_zarr.writer
import zarr
from numcodecs import GZip, Zstd
from zarr.codecs import BloscCodec, BytesCodec, GzipCodec, TransposeCodec

HERE = Path(__file__).parent


def numbers(shape, dtype):
    dtype = np.dtype(dtype)
    i = np.arange(np.prod(shape), dtype=np.int64)
    n = (31 * i * i + 7 * i) % 251
    if dtype.kind == "b":
        n = n % 2 == 1
    elif dtype.kind == "u":
        n = n if dtype.itemsize == 1 else n * 257
    elif dtype.kind == "i":
        n = n - 125
    else:
        n = (n - 125) / 4
    return n.astype(dtype).reshape(shape)


def array(name, shape, dtype, **how):
    folder = HERE / name
    made = zarr.create_array(store=folder, shape=shape, dtype=dtype, **how)
    made[...] = numbers(shape, dtype)
    return folder


for old in HERE.glob("*.zarr"):
    shutil.rmtree(old)

array("v2_blosc.zarr", (3, 20, 24), "<i2", chunks=(2, 12, 24), zarr_format=2,
      compressors=numcodecs.Blosc(cname="lz4", clevel=5, shuffle=numcodecs.Blosc.SHUFFLE))
array("v2_zstd_big_endian.zarr", (3, 10, 12), ">u2", chunks=(1, 10, 12), zarr_format=2, order="F", compressors=Zstd(3),
      chunk_key_encoding={"name": "v2", "separator": "/"})
array("v3_gzip.zarr", (2, 9, 10), "float64", chunks=(1, 5, 10), compressors=GzipCodec(),
      serializer=BytesCodec(endian="big"), filters=TransposeCodec(order=(2, 0, 1)), dimension_names=("z", "y", "x"))
array("v3_bool.zarr", (20, 16), "bool", chunks=(20, 16), compressors=None)
sharded = array("v3_sharded_blosc.zarr", (4, 20, 24), "float32", chunks=(1, 10, 8), shards=(2, 20, 24), fill_value=-1.5,
                compressors=BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle"))
# The second shard is not there: its numbers are the fill value.
(sharded / "c/1/0/0").unlink()

group = zarr.open_group(HERE / "group_of_two.zarr", mode="w", zarr_format=3)
for name in ["a", "inner/b"]:
    group.create_array(name, shape=(4, 5), dtype="uint8")[...] = numbers((4, 5), "uint8")


def ome(name, version, dtype, shape, axes, scale, labels=None):
    format = ome_zarr.format.FormatV04() if version == "0.4" else ome_zarr.format.FormatV05()
    group = zarr.open_group(HERE / name, mode="w", zarr_format=format.zarr_format)
    values = numbers(shape, dtype)
    levels = [values, values[..., ::2, ::2]]
    transformations = [
        [{"type": "scale", "scale": scale}],
        [{"type": "scale", "scale": scale[:-2] + [2 * s for s in scale[-2:]]}],
    ]
    ome_zarr.writer.write_multiscale(levels, group, axes=axes, coordinate_transformations=transformations, fmt=format)
    if labels:
        classes = (numbers(shape[1:], "uint8") % 3).astype("uint8")
        ome_zarr.writer.write_multiscale_labels(
            [classes, classes[..., ::2, ::2]], group, labels, axes=axes[1:],
            coordinate_transformations=[[{"type": "scale", "scale": t[0]["scale"][1:]}] for t in transformations],
            label_metadata={"colors": [{"label-value": 1, "rgba": [255, 0, 0, 255]}]}, fmt=format)


space = [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
channel = {"name": "c", "type": "channel"}
ome("ome_0.4.zarr", "0.4", "uint16", (3, 8, 10), space, [2.0, 0.5, 0.25])
ome("ome_0.5.zarr", "0.5", "uint8", (2, 3, 8, 10), [channel] + space, [1.0, 2.0, 0.5, 0.25], labels="cells")


def damaged(name, change, file=None, of="v3_bool.zarr"):
    folder = HERE / f"damaged_{name}.zarr"
    shutil.copytree(HERE / of, folder)
    if file:
        data = (folder / file).read_bytes()
        (folder / file).write_bytes(change(data))
    else:
        path = folder / "zarr.json"
        said = json.loads(path.read_text())
        change(said)
        path.write_text(json.dumps(said))


def chunks_of(*shape):
    return lambda said: said["chunk_grid"]["configuration"].update(chunk_shape=shape)


damaged("cut_chunk", lambda data: data[:-9], "c/0/0")
damaged("cut_shard", lambda data: data[:-9], "c/0/0/0", of="v3_sharded_blosc.zarr")
damaged("shard_index", lambda data: data[:-60] + bytes(60), "c/0/0/0", of="v3_sharded_blosc.zarr")
damaged("blosc", lambda data: data[:20] + b"\xff" * (len(data) - 20), "0.0.0", of="v2_blosc.zarr")
damaged("gzip", lambda data: data[:30], "c/0/0/0", of="v3_gzip.zarr")
damaged("negative_shape", lambda said: said.update(shape=[-1, 16]))
damaged("huge_chunk", chunks_of(2**40, 16))
bomb = HERE / "damaged_zstd_size.zarr"
array(bomb.name, (4, 4), "uint8", chunks=(4, 4), zarr_format=2, compressors=Zstd(3))
# A frame that says that it has 2^60 bytes unpacked.
(bomb / "0.0").write_bytes(bytes.fromhex("28b52ffd e0 0000000000000010 010000"))
bomb = HERE / "damaged_gzip_bomb.zarr"
array(bomb.name, (4, 4), "uint8", chunks=(4, 4), zarr_format=2, compressors=GZip(9))
(bomb / "0.0").write_bytes(GZip(9).encode(bytes(1 << 20)))
