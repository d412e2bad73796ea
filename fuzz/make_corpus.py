"""Writes the first files of each corpus: small ones as other programs store them, and those of the tests.

    python fuzz/make_corpus.py

Needs numpy, h5py, tifffile, imagecodecs, Pillow and zarr. What the fuzz targets find is kept beside them under other names.
"""

import hashlib
import io
import json
import pathlib
import struct
import tempfile

import h5py
import numpy as np
import tifffile
import zarr
from PIL import Image

FUZZ = pathlib.Path(__file__).parent
TESTS = FUZZ.parent / "tests"
NUMBERS = np.arange(24 * 20).reshape(24, 20) * 7 % 251


def keep(reader, name, data):
    folder = FUZZ / "corpus" / reader
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def packed(folder):
    """A folder as one file, as readers/ unpacks it."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return b"".join(
        f"{path.relative_to(folder)} {path.stat().st_size}\n".encode() + path.read_bytes() for path in paths
    )


def write_tests():
    for reader, kind in [("hdf5", "hdf5"), ("mrc", "mrc"), ("nifti", "nifti"), ("npy", "npy"), ("tiff", "tiff")]:
        for path in (TESTS / "corpus" / kind).iterdir():
            if path.is_file():
                keep(reader, path.name, path.read_bytes())
    keep("hdf5", "x_master.h5", (TESTS / "corpus/hdf5/detector/x_master.h5").read_bytes())
    for path in (TESTS / "corpus/zarr").iterdir():
        if path.is_dir():
            keep("zarr", path.name, packed(path))
    for path in (TESTS / "exchange/files").iterdir():
        reader = "model" if path.name == "expected.safetensors" else "exchange"
        keep(reader, path.name, path.read_bytes())


def write_virtual():
    """Virtual datasets whose parts are in the same file, smaller than they are."""
    folder = FUZZ / "corpus/hdf5"
    folder.mkdir(parents=True, exist_ok=True)
    raw = (np.arange(6 * 7) * 7 % 251).astype("u2").reshape(6, 7)
    for libver in ("earliest", "v114", "latest"):
        bounds = libver if libver == "latest" else (libver, "v114")
        with h5py.File(folder / f"virtual_slices_{libver}.h5", "w", libver=bounds) as file:
            file["raw"] = raw
            layout = h5py.VirtualLayout((4, 6, 9), "f4")
            layout[0, :, 1:8] = h5py.VirtualSource(file["raw"])
            layout[2, ::2, ::3] = h5py.VirtualSource(file["raw"])[[0, 3, 5], 1:4]
            file.create_virtual_dataset("data", layout, fillvalue=9)
        with h5py.File(folder / f"virtual_growing_{libver}.h5", "w", libver=bounds) as file:
            file.create_dataset("raw", data=raw, chunks=(2, 7), maxshape=(None, 7))
            layout = h5py.VirtualLayout((2, 6, 7), "u2", maxshape=(2, None, 7))
            source = h5py.VirtualSource(".", "raw", (6, 7), maxshape=(None, 7))
            for number in range(2):
                layout[number, : h5py.h5s.UNLIMITED] = source[: h5py.h5s.UNLIMITED]
            file.create_virtual_dataset("data", layout)
        with h5py.File(folder / f"virtual_round_{libver}.h5", "w", libver=bounds) as file:
            layout = h5py.VirtualLayout((4, 6, 7), "u2")
            layout[:2] = layout[2:] = h5py.VirtualSource(".", "data", (2, 6, 7))
            file.create_virtual_dataset("data", layout)
        with h5py.File(folder / f"virtual_missing_{libver}.h5", "w", libver=bounds) as file:
            layout = h5py.VirtualLayout((4, 6, 7), "u2")
            layout[...] = h5py.VirtualSource("missing.h5", "data", (4, 6, 7))
            file.create_virtual_dataset("data", layout)


def write_scans():
    """Scans of six images of 2 x 4 pixels, as beamlines lay them out."""
    folder = FUZZ / "corpus/scan"
    folder.mkdir(parents=True, exist_ok=True)
    images = np.arange(6 * 2 * 4, dtype="u2").reshape(6, 2, 4)
    with h5py.File(folder / "dxchange.h5", "w", libver=("earliest", "v110")) as file:
        file["exchange/data"] = images
        file["exchange/data_white"] = images[:2]
        file["exchange/data_dark"] = images[:1]
        file["exchange/theta"] = np.linspace(0, 150, 6)
        file["exchange/theta"].attrs["units"] = "degrees"
        file["measurement/instrument/detector/pixel_size"] = np.array([0.65])
        file["measurement/instrument/detector/pixel_size"].attrs["units"] = "um"
    with h5py.File(folder / "dxchange_steps.h5", "w", libver=("earliest", "v110")) as file:
        file["exchange/data"] = images
        file["process/acquisition/rotation/rotation_step"] = 30.0
        file["process/acquisition/flat_fields/flat_field_value"] = 40.0
    with h5py.File(folder / "dxchange_links.h5", "w") as file:
        file["raw/images"] = images
        file["raw/flats"] = images[:2]
        file["raw/theta"] = np.linspace(0, 150, 6)
        file["raw/theta"].attrs["units"] = "degrees"
        file["scan/data"] = h5py.SoftLink("/raw/images")
        file["scan/data_white"] = h5py.SoftLink("/raw/flats")
        file["scan/data_dark"] = images[:1]
        file["scan/theta"] = h5py.SoftLink("/raw/theta")
        file["exchange"] = h5py.SoftLink("scan")
    with h5py.File(folder / "nxtomo.nxs", "w", libver=("v110", "v110")) as file:
        file["entry/instrument/detector/data"] = images
        file["entry/instrument/detector/image_key"] = np.array([2, 1, 0, 0, 0, 1])
        file["entry/instrument/detector/x_pixel_size"] = np.array([1e-6])
        file["entry/sample/rotation_angle"] = np.linspace(0, 150, 6)
        file["entry/sample/rotation_angle"].attrs["units"] = "deg"
    with h5py.File(folder / "nxtomo_links.nxs", "w") as file:
        file["raw/images"] = images
        file["raw/rotation_angle"] = np.linspace(0, 150, 6)
        file["raw/rotation_angle"].attrs["units"] = "deg"
        file["entry/instrument/detector/data"] = h5py.SoftLink("/raw/images")
        file["entry/instrument/detector/image_key"] = np.array([2, 1, 0, 0, 0, 1])
        file["entry/sample/rotation_angle"] = h5py.SoftLink("/raw/rotation_angle")
        file["entry/data/data"] = h5py.SoftLink("/entry/instrument/detector/data")
    with h5py.File(folder / "als.h5", "w", libver=("earliest", "v110")) as file:
        group = file.create_group("20200101_x")
        group.attrs["arange"] = "180.0"
        group.attrs["pxsize"] = 0.00065
        for number in range(3):
            group[f"x_0000_{number:04}.tif"] = images[number : number + 1]
        group["xbak_0000_0000.tif"] = images[:1]
        group["xdrk_0000_0000.tif"] = images[:1]


TEXTS = {
    "angles": {
        "degrees.txt": "# degrees\n0\n60.5\n\n120 # the last\n",
        "columns.csv": "0, 0\n1, 1e1\n2; -3\n",
        "infinite.txt": "0\ninf\nnan\n",
    },
    "history": {
        "epochs.csv": "epoch,step,minutes,training_loss,validation_loss,psnr,ssim,learning_rate,best\n1,10,0.1,1,1.5,20.3,,0.01,0\n2,20,0.2,0.5,0.7,21,0.9,0.001,1\n",
        "empty.csv": "epoch,step,minutes,training_loss,validation_loss,psnr,ssim,learning_rate,best\n",
    },
    "pairs": {
        "list.csv": "image,target\na.png,b.png\nb.png,a.png\n",
        "groups.csv": "\ufeffImage, Target, Weight, Group\n# none\na.png,b.png,,one\n\"b.png\",a.png,a.png,one\n",
        "pattern.csv": "image,target\n*.png,*.png\nnone/*.png,.\n",
    },
    "raw_form": {
        "slices.txt": "4x2x2:u16le",
        "header.txt": "3x2:f32be+8",
        "large.txt": "4294967296x4294967296x4294967296:f64+18446744073709551615",
    },
    "settings": {
        "regress.toml": 'task = "regress"\nimages = "a"\ntargets = "b"\ndepth = 20\ndilations = [1, 2, 4]\nlr = 1e-3\nmax_steps = 10\n',
        "segment.toml": 'task = "segment"\nimages = "a"\ntargets = "b"\nclasses = [0, 5]\nclass_names = ["x", "y"]\nclass_weights = "balanced"\ncrop = 128\nnoise = 0.1\nseed = 7\n',
        "splits.toml": 'task = "regress"\nsplits = ["a", "b"]\nval_fraction = 0.2\nslab = 3\ncache = "2GB"\n',
    },
    "project": {
        "images.toml": """version = 1
name = "p"
next_image = 2

[training]
depth = "20"

[[images]]
id = "i1"
name = "a"
path = "a.tif"
came = "linked"
width = 8
height = 4
slices = 2
channels = 1
lowest = 0.0
highest = 9.0
low = 0.0
high = 9.0
""",
        "empty.toml": 'version = 1\nname = "p"\nnext_image = 1\n',
    },
}


def write_texts():
    for reader, files in TEXTS.items():
        for name, text in files.items():
            keep(reader, name, text.encode())


STROKES = [
    '{"seq":1,"tab":"t","op":"class","class":0,"name":"void","colour":"#e6550d","locked":false,"removed":false}',
    '{"seq":2,"tab":"t","op":"class","class":1,"name":"fibre","colour":"#3182bd","locked":false,"removed":false}',
    '{"seq":3,"tab":"t","op":"stroke","image":"i1","slice":0,"class":0,"size":2.5,"points":[[1.5,2.3],[4.1,0.5]],"depth":0,"range":null}',
    '{"seq":4,"tab":"t","op":"polygon","image":"i1","slice":0,"class":1,"points":[[0.5,0.3],[5.0,1.0],[3.0,3.9]]}',
    '{"seq":5,"tab":"u","op":"fill","image":"i1","slice":0,"class":1,"x":5,"y":3,"tolerance":9.5}',
    '{"seq":6,"tab":"u","op":"stroke","image":"i1","slice":0,"class":null,"size":9.0,"points":[[2,2]],"depth":3,"range":[0.1,99]}',
    '{"seq":7,"tab":"t","op":"between","image":"i1","class":1,"from":0,"to":0}',
    '{"seq":8,"tab":"t","op":"undo","of":3}',
    '{"seq":9,"tab":"t","op":"redo","of":3}',
    '{"seq":10,"tab":"t","op":"import","image":"i1","file":"labels/import-1.tif"}',
    '{"seq":11,"tab":"t","op":"image","image":"i1","removed":true}',
]


def write_own():
    """What this program keeps itself, but for what is kept of a run (checkpoint/ and measurements/ are of one with --max-steps 2) and of stacks
    that were cut short (unfinished/)."""
    keep("strokes", "entries.jsonl", "\n".join(STROKES).encode() + b"\n")
    keep("strokes", "strokes.jsonl", "\n".join(STROKES[:6]).encode() + b"\n")
    chained, before = "", ""
    for line in STROKES[:7]:
        before = hashlib.sha256((before + line).encode()).hexdigest()
        chained += f'{line[:-1]},"hash":"{before}"}}\n'
    keep("journal", "chained.jsonl", chained.encode())
    keep("journal", "cut_off.jsonl", chained[:-30].encode())
    keep("prediction", "tiles.part", b"tiling 4 6 24 2 1\n0 0\n0 1\n0 2\n0 finished\n0 blank\n")
    keep("prediction", "other_tiles.part", b"tiling 4 6 0 - 4\ntiling 4 6 24 1 99\n0 0\n7 3\n0 5\n0 4")
    digits = "14a4af5df29004fd21a9353053738957"
    result = f'{{"result":"a.png","bytes":83,"modified":1795912497659728179,"work":"{digits}","images":"{digits}"}}\n'
    keep("results", "results.jsonl", (result + result.replace("a.png", "a.tif")).encode())
    keep("registry", "entry.toml", b'version = 1\nadded = 1795912498\nsource = "run"\n\n[keys]\nsample = "bone"\nenergy = "20 keV"\n')
    keep("description", "dataset.json", b'{"labels": {"background": 0, "cell": 1, "ignore": 2}, "channel_names": {"0": "a"}}')
    write_work()
    write_projects()


def lines(*entries):
    return "".join(json.dumps(entry) + "\n" for entry in entries).encode()


def write_work():
    """What tells how far work is, and what is known of machines."""
    keep("reconstruction", "lines.part", b"0\n1\n2\n")
    keep("reconstruction", "cut_off.part", b"0\n1\n18446744073709551616\n-1\n3")
    keep("denoising", "plan.toml", b"centre = 2.5\nreconstructed = true\nminutes = 0.1\n")
    keep("denoising", "nowhere.toml", b"centre = -1e308\n")
    keep("denoising", "no_number.toml", b"centre = nan\nreconstructed = false\n")
    done = {"image": "a.png", "bytes": 83, "modified": 1795912497659728179, "results": ["a.png", "a_overlay.png"]}
    work = {"input": "/in", "identity": "14a4af5df29004fd21a9353053738957"}
    keep("watch", "entries.jsonl", lines(done, {**done, "image": "b.png", "results": []}, {**done, "bytes": 0}))
    keep("watch", "begun.jsonl", lines(work, done) + b'{"image": "c.p')
    key = 'adapter = "a"\nbackend = "vulkan"\ndriver = "1"\nkernels = "k"\nside = 64\ndepth = 8\nwidth = 1\n'
    tiles = "convolve_rows=8 workgroups=1024 block=8 gradient_rows=4 gradient_channels=8 filter_channels=8"
    keep("tunings", "tuning.toml", f'format = 1\n[[tuned]]\n{key}tuning = "{tiles}"\n'.encode())
    run = {"peer": "torch 2 compiled", "what": "forward", "size": 256, "depth": 50, "device": "cpu", "seconds": 0.5}
    keep("timings", "lines.json", lines({"step": "mix", "seconds": 1}, run, {**run, "compiled": True, "width": 2, "batch": 4}))
    driver = b'{"ICD": {"library_path": "../beside.so", "api_version": "1.3"}, "file_format_version": "1.0.0"}'
    files = {
        "etc/ld.so.cache": b"glibc\0libvulkan.so.1\0/opt/gpu/libvulkan.so.1\0",
        "opt/gpu/libvulkan.so.1": b"",
        "etc/os-release": b'PRETTY_NAME="Debian"\nID=debian\nID_LIKE=""\n',
        "proc/sys/kernel/osrelease": b"6.1-microsoft\n",
        "proc/driver/nvidia/version": b"NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu\n",
        "proc/1/cgroup": b"0::/docker/1\n",
        "usr/share/vulkan/icd.d/a.json": driver,
        "home/me/.local/share/vulkan/icd.d/b.json": driver[:40],
        "home/me/.local/share/vulkan/beside.so": b"",
        "sys/class/drm/card0/device/vendor": b"0x10de\n",
        "sys/class/drm/card0/device/device": b"0x2330\n",
        "a.json": b'{"ICD": {"library_path": "a.so"}}',
    }
    keep("machine", "linux", packed_files(files))
    # Which message, what is done to it, where, and bytes.
    change = lambda message, what, place, number: struct.pack("<BBHQ", message, what, place, number)
    keep("messages", "none", b"")
    keep("messages", "cut_off", change(0, 0, 9, 0) + change(2, 0, 3, 0))
    keep("messages", "lengths", change(0, 2, 0, 1 << 62) + change(1, 2, 0, 3) + change(2, 1, 8, 1 << 32))
    keep("messages", "numbers", change(1, 2, 8, 0x7FF0000000000000) + change(2, 2, 16, 1) + change(3, 2, 4, 0x7FC00000))
    keep("messages", "overflowing_count", change(9, 2, 81, 2**64 - 1))
    for name, text in {
        "axes.txt": "ZCYX", "axis_lengths.txt": "ZC2YX", "slices.txt": "0..4..2, 5", "channel.txt": "1", "part.txt": "2/3",
        "size.txt": "1.5GiB", "halo.txt": "auto", "range.txt": "-1.5..2e3", "type.txt": "u16",
    }.items():
        keep("options", name, text.encode())


def packed_files(files):
    return b"".join(f"{name} {len(data)}\n".encode() + data for name, data in files.items())


def write_projects():
    """What is in the folder of a project, what it takes over, and what its server is asked."""
    stroke = '{"seq":3,"tab":"t","op":"stroke","image":"i1","slice":0,"class":1,"size":2.5,"points":[[1.5,2.3]],"depth":0,"range":null}'
    last = ""
    for line in [*STROKES[:2], stroke]:
        last = hashlib.sha256((last + line).encode()).hexdigest()
    keep("written", "written.json", json.dumps({"i1": {"seq": 3, "hash": last}}).encode())
    keep("written", "others.json", json.dumps({"i1": {"seq": 2**64 - 1, "hash": ""}, "i9": {"seq": 0, "hash": "0"}}).encode())
    job = {
        "job": "j1", "kind": "predict", "state": "done", "done": 1.0, "message": None, "images": ["i1"], "products": ["classes"],
        "format": "png", "journal": last, "steps": 7, "command": "msd-gpu train",
        "files": [{"name": "i1.png", "path": "i1.png"}, {"name": "a", "path": "a"}],
        "table": [{"image": "i1", "class": 1, "pixels": 9, "share": 0.4, "objects": 2}],
        "finished": [{"image": "i1", "labels": "i1.png"}], "skipped": [{"image": "i2", "name": "b", "reason": "gone"}],
    }
    keep("job", "done.json", json.dumps(job).encode())
    keep("job", "running.json", json.dumps({**job, "state": "running", "done": 0.5, "files": [], "table": [], "finished": []}).encode())
    keep("job", "values.json", json.dumps({**job, "format": "npy", "finished": [{"image": "i1", "labels": None, "values": ["i1.npy", 1]}]}).encode())
    above = {**job, "files": [{"name": "a", "path": "../../project.toml"}], "finished": [{"image": "i1", "labels": "/dev/zero"}]}
    keep("job", "outside.json", json.dumps(above).encode())
    labeling = {
        "interval": {"min": [0, 0], "max": [5, 3], "n": 2},
        "labels": {"void": [[0, 0], [5, 3], [0, 0]], "fibre": [[2, 1]]},
        "colors": {"void": "#ff0000"},
    }
    keep("labkit", "slice.labeling", json.dumps(labeling).encode())
    stack = {"interval": {"min": [-1, 0, 0], "max": [4, 3, 2]}, "labels": {"void": [[-1, 0, 2]], "fibre": [[4, 3, 0], [0, 0, 1]]}}
    keep("labkit", "stack.labeling", json.dumps(stack).encode())
    outside = {**labeling, "labels": {"void": [[6, 0]], "fibre": [[0, -1]]}}
    keep("labkit", "outside.labeling", json.dumps(outside).encode())
    ends = {"interval": {"min": [-(2**63), 0], "max": [2**63 - 1, 3]}, "labels": {"void": [[-(2**31), 2**31 - 1]]}}
    keep("labkit", "far_ends.labeling", json.dumps(ends).encode())
    folder = FUZZ / "corpus/ilastik"
    folder.mkdir(parents=True, exist_ok=True)
    for name, axes, block, start in [
        ("slice", "yxc", np.eye(4, 6)[..., None], (0, 0, 0)),
        ("stack", "zyxc", np.ones((2, 2, 3, 1)), (1, 2, 3, 0)),
        ("time", "tzyxc", np.full((3, 1, 2, 2, 1), 2), (0, 0, 0, 1, 0)),
    ]:
        with h5py.File(folder / (name + ".ilp"), "w") as file:
            group = file.create_group("PixelClassification")
            group["LabelNames"] = np.array([b"void", b"fibre"])
            group["LabelColors"] = np.array([[255, 0, 0], [0, 300, -1]])
            data = group.create_dataset("LabelSets/labels000/block0000", data=block.astype("u1"), chunks=block.shape, compression="gzip")
            ends = [f"{first}:{first + length}" for first, length in zip(start, block.shape)]
            data.attrs["blockSlice"] = f"[{','.join(ends)}]"
            data.attrs["axistags"] = json.dumps({"axes": [{"key": key, "typeFlags": 2} for key in axes]})
            file["Input Data/infos/lane0000/Raw Data/filePath"] = "a.png"
    # A hundred million numbers of which none is stored, along an axis of which one number is wanted.
    with h5py.File(folder / "many_channels.ilp", "w") as file:
        data = file.create_dataset("PixelClassification/LabelSets/labels000/block0000", (4, 6, 1 << 22), "u1", chunks=(1, 1, 1 << 16))
        data.attrs["blockSlice"] = f"[0:4,0:6,0:{1 << 22}]"
    entries = {"tab": "t", "entries": [{key: value for key, value in json.loads(stroke).items() if key not in ("seq", "tab")}]}
    asked = {
        "GET /api/project": b"",
        "POST /api/journal": json.dumps(entries).encode(),
        "GET /api/images/i1/0/labels/0/0/0": b"",
        "POST /api/undo": b'{"tab": "t"}',
        "POST /api/classes": b'{"name": "x", "colour": "#123456"}',
        "PATCH /api/classes/1": b'{"removed": true}',
        "POST /api/view": b'{"tab": "t", "image": "i1", "slice": 0, "x": 0, "y": 0, "width": 6, "height": 4}',
        "POST /api/import/i1?values=1:void,2:none": json.dumps(labeling).encode(),
        "GET /api/images/i1/views/xz/2/0/labels": b"",
    }
    keep("requests", "drawing", packed_files(asked))
    others = {
        "PATCH /api/project": b'{"name": "q", "task": "denoise", "learns_from": "pairs"}',
        "PATCH /api/images/i1": b'{"removed": true, "role": "clean"}',
        "POST /api/images": b'{"path": "a.png", "copy": true}',
        "POST /api/jobs": b'{"kind": "predict", "images": "all", "products": ["classes"]}',
        "PUT /api/upload/b.png?stack=abcdefgh": b"\x89PNG",
        "POST /api/upload-stack/abcdefgh": b'{"name": "s"}',
        "GET /api/browse?path=/": b"",
        "GET /api/images/i1/99999999999999999999/tiles/0/0/0": b"",
        "GET /api/export/labels?format=nii": b"",
        "GET /api/settings": b"",
    }
    keep("requests", "others", packed_files(others))


def tiff(name, data, **options):
    file = io.BytesIO()
    big = options.pop("bigtiff", False)
    order = options.pop("byteorder", "<")
    ome = options.pop("ome", None)
    imagej = options.pop("imagej", False)
    with tifffile.TiffWriter(file, bigtiff=big, byteorder=order, ome=ome, imagej=imagej) as writer:
        writer.write(data, **options)
    keep("tiff", name + ".tif", file.getvalue())


def write_tiff():
    grey = dict(photometric="minisblack")
    byte = NUMBERS.astype("u1")
    for compression in ["none", "lzw", "deflate", "packbits", "zstd", "jpeg"]:
        tiff(f"u1_{compression}", byte, compression=compression, rowsperstrip=8, **grey)
        if compression in ("lzw", "deflate", "zstd"):
            tiff(f"u2_{compression}_predicted", NUMBERS.astype("u2"), compression=compression, predictor=2, **grey)
            tiff(f"f4_{compression}_predicted", NUMBERS.astype("f4"), compression=compression, predictor=3, **grey)
    tiff("tiles", NUMBERS.astype("u2"), tile=(16, 16), compression="deflate", **grey)
    tiff("big", NUMBERS.astype("i4"), bigtiff=True, byteorder=">", **grey)
    tiff("white", byte, photometric="miniswhite")
    tiff("rgb_jpeg", np.stack([byte] * 3, 2), photometric="rgb", compression="jpeg", tile=(16, 16))
    tiff("planar", np.stack([byte] * 3), photometric="rgb", planarconfig="separate")
    stack = np.stack([byte] * 6)
    tiff("stack", stack, **grey)
    tiff("imagej", stack.reshape(3, 2, 24, 20), imagej=True, metadata={"axes": "ZCYX"}, **grey)
    tiff("ome", stack.reshape(3, 2, 24, 20), ome=True, metadata={"axes": "ZCYX", "PhysicalSizeX": 0.5}, **grey)
    tiff("half", NUMBERS.astype("f2"), **grey)
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(byte, subifds=1, **grey)
        writer.write(byte[::2, ::2], subfiletype=1, **grey)
    keep("tiff", "smaller.tif", file.getvalue())
    for compression in ("group3", "group4"):
        file = io.BytesIO()
        Image.fromarray(byte > 100).save(file, "TIFF", compression=compression)
        keep("tiff", compression + ".tif", file.getvalue())


def write_pictures():
    byte = NUMBERS.astype("u1")
    grey, colours = Image.fromarray(byte), Image.fromarray(np.stack([byte, byte.T.reshape(byte.shape), 255 - byte], 2))
    for name, image, options in [
        ("grey", grey, {}),
        ("bits", grey.convert("1"), {}),
        ("rgb", colours, {}),
        ("rgba", colours.convert("RGBA"), {}),
        ("palette", colours.quantize(16), {}),
        ("deep", Image.fromarray(NUMBERS.astype("u2") * 200), {}),
        ("dpi", grey, {"dpi": (300, 300)}),
    ]:
        file = io.BytesIO()
        image.save(file, "PNG", **options)
        keep("png", name + ".png", file.getvalue())
    for name, image, options in [
        ("grey", grey, {}),
        ("rgb", colours, {"subsampling": 0}),
        ("rgb_420", colours, {"subsampling": 2}),
        ("progressive", colours, {"progressive": True}),
        ("restarts", grey, {"restart_marker_blocks": 1}),
        ("rgb_kept", colours, {"keep_rgb": True}),
    ]:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=60, **options)
        keep("jpeg", name + ".jpg", file.getvalue())


def write_jpeg_scans():
    """Images that are large for their bytes: these are counted before they are decoded."""
    grey = Image.new("L", (320, 240), 90)
    grey.paste(Image.fromarray(NUMBERS.astype("u1")), (150, 100))
    colours = Image.merge("RGB", [grey, grey.transpose(Image.Transpose.FLIP_LEFT_RIGHT), grey.point(lambda v: 255 - v)])
    thumbnail = io.BytesIO()
    grey.resize((32, 24)).save(thumbnail, "JPEG")
    for name, image, options in [
        ("grey", grey, {}),
        ("grey_optimised", grey, {"optimize": True}),
        ("grey_progressive", grey, {"progressive": True}),
        ("grey_restarts", grey, {"restart_marker_rows": 1}),
        ("rgb_444", colours, {"subsampling": 0}),
        ("rgb_422", colours, {"subsampling": 1}),
        ("rgb_420", colours, {"subsampling": 2}),
        ("rgb_progressive", colours, {"progressive": True, "subsampling": 2}),
        ("rgb_progressive_restarts", colours, {"progressive": True, "restart_marker_blocks": 7}),
        ("rgb_restarts", colours, {"restart_marker_blocks": 3}),
        ("rgb_kept", colours, {"keep_rgb": True}),
        ("comment", grey, {"comment": thumbnail.getvalue()}),
        ("tiny", grey.resize((1, 1)), {}),
    ]:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=50, **options)
        keep("jpeg_scans", name + ".jpg", file.getvalue())
    file = io.BytesIO()
    grey.save(file, "JPEG", quality=50)
    keep("jpeg_scans", "bytes_behind.jpg", file.getvalue() + thumbnail.getvalue() + bytes(100))
    keep("jpeg_scans", "fill_bytes.jpg", file.getvalue().replace(b"\xff\xda", b"\xff\xff\xff\xda").replace(b"\xff\xd9", b"\xff\xff\xd9"))
    # One colour, in scans that Pillow does not write: of each channel, and of the first and both others.
    keep("jpeg_scans", "channel_by_channel.jpg", one_colour(0xC0, [([1], 1200, 2), ([2], 300, 2), ([3], 300, 2)]))
    keep("jpeg_scans", "first_channel_alone.jpg", one_colour(0xC0, [([1], 1200, 2), ([2, 3], 300, 4)]))
    keep("jpeg_scans", "progressive_channels.jpg", one_colour(0xC2, [([1], 1200, 1), ([2, 3], 300, 2)]))


def one_colour(frame, scans):
    """A JPEG file of 320 x 240 pixels with coarser colours; each scan has so many units of so many bits."""
    data = b"\xff\xd8\xff\xdb\0\x43\0" + b"\1" * 64
    data += bytes([0xFF, frame, 0, 17, 8, 0, 240, 1, 64, 3, 1, 0x22, 0, 2, 0x11, 0, 3, 0x11, 0])
    for table in (0x00, 0x10):
        # A bit that is 0 is the only code.
        data += bytes([0xFF, 0xC4, 0, 20, table, 1]) + bytes(16)
    for channels, units, bits in scans:
        names = b"".join(bytes([channel, 0]) for channel in channels)
        data += bytes([0xFF, 0xDA, 0, 6 + len(names), len(channels)]) + names
        data += bytes([0, 0 if frame == 0xC2 else 63, 0]) + bytes(units * bits // 8)
        if units * bits % 8:
            data += bytes([0xFF >> (units * bits % 8)])
    return data + b"\xff\xd9"


def write_zarr():
    from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec

    with tempfile.TemporaryDirectory() as folder:
        for name, options in [
            ("blosc_zstd", dict(compressors=BloscCodec(cname="zstd", shuffle="shuffle"))),
            ("blosc_lz4", dict(compressors=BloscCodec(cname="lz4", shuffle="bitshuffle"))),
            ("blosc_blosclz", dict(compressors=BloscCodec(cname="blosclz"))),
            ("shards", dict(compressors=ZstdCodec(), shards=(24, 20))),
            ("gzip", dict(compressors=GzipCodec())),
            ("version2", dict(zarr_format=2)),
        ]:
            path = pathlib.Path(folder) / name
            zarr.create_array(path, data=NUMBERS.astype("u2"), chunks=(12, 10), **options)
            keep("zarr", name + ".zarr", packed(path))


def write_raw():
    keep("raw", "whole", NUMBERS.astype("<u2").tobytes()[:128])
    keep("raw", "behind_header", bytes(140))


if __name__ == "__main__":
    write_tests()
    write_virtual()
    write_tiff()
    write_pictures()
    write_jpeg_scans()
    write_zarr()
    write_raw()
    write_scans()
    write_texts()
    write_own()
