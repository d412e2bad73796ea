#!/usr/bin/env python3
"""Seconds a slice and peak memory of segmenting a stack, by `msd-gpu predict` and by the same network in onnxruntime.

    python3 benches/peers/volumes.py target/release/msd-gpu /tmp/volumes [--slices 256] [--peer-slices 16]

makes a stack of 2048 x 2048 uint16 in the folder (2.1 GB with 256 slices, as TIFF, HDF5 and OME-Zarr), trains a network of
30 layers for a few steps, exports it to ONNX, and segments the stack in each format: once by `msd-gpu predict`, and once by a
loop over slices in Python, which reads a slice, runs onnxruntime, takes the classes and writes them with the format's
usual package. Results have the format of the stack. The loop in Python is given fewer slices, as it takes long. The classes of
those slices are compared. Needs numpy, tifffile, h5py, zarr and onnxruntime.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import h5py
import numpy as np
import tifffile
import zarr

SIZE = 2048
FORMATS = {"TIFF": "stack.tif", "HDF5": "stack.h5:/volume", "OME-Zarr": "stack.ome.zarr"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--slices", type=int, default=256)
    parser.add_argument("--peer-slices", type=int, default=16)
    parser.add_argument("--loop", nargs=3, metavar=("FORMAT", "RESULT", "SLICES"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    folder, program = arguments.folder, os.path.abspath(arguments.program)
    if arguments.loop:
        kind, result, slices = arguments.loop
        return loop(folder, kind, folder / result, int(slices))
    folder.mkdir(parents=True, exist_ok=True)
    make_stack(folder, arguments.slices)
    make_network(folder, program)
    compute = bench(program)
    print(f"compute alone (`bench`): {compute:.3f} s a slice", flush=True)
    print("| format | msd-gpu, s a slice | peak memory | onnxruntime, s a slice | peak memory | pixels of another class |")
    print("|---|---|---|---|---|---|")
    for kind, name in FORMATS.items():
        ours = folder / f"ours-{kind}"
        command = [program, "predict", "--model", "run", name, "--device", "cpu", "--out", str(ours)]
        shutil.rmtree(ours, ignore_errors=True)
        seconds, memory = timed(command, folder)
        theirs = f"theirs-{kind}"
        command = [sys.executable, __file__, program, str(folder), "--loop", kind, theirs, str(arguments.peer_slices)]
        peer_seconds, peer_memory = timed(command, folder)
        differing = compared(kind, ours, folder / theirs, arguments.peer_slices)
        print(
            f"| {kind} | {seconds / arguments.slices:.3f} | {memory} MiB | {peer_seconds / arguments.peer_slices:.3f} | "
            f"{peer_memory} MiB | {differing} |",
            flush=True,
        )


def make_stack(folder, slices):
    """Grains of several greys with noise, other ones in each slice; the same numbers in each format."""
    files = [folder / "stack.tif", folder / "stack.h5", folder / "stack.ome.zarr"]
    if all(file.exists() for file in files):
        return
    random = np.random.default_rng(1)
    grains = random.integers(2000, 20000, (slices // 8 + 2, SIZE // 64, SIZE // 64))
    with tifffile.TiffWriter(files[0], bigtiff=True) as tiff, h5py.File(files[1], "w") as hdf5:
        group = zarr.open_group(files[2], mode="w", zarr_format=3)
        axes = [{"name": axis, "type": "space"} for axis in "zyx"]
        scale = [{"type": "scale", "scale": [1.0, 1.0, 1.0]}]
        datasets = [{"path": "0", "coordinateTransformations": scale}]
        group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
        shape = (slices, SIZE, SIZE)
        array = group.create_array("0", shape=shape, chunks=(1, 512, 512), dtype="uint16", dimension_names=list("zyx"))
        dataset = hdf5.create_dataset(
            "volume", shape, "uint16", chunks=(1, 512, 512), compression="gzip", compression_opts=4, shuffle=True
        )
        for z in range(slices):
            part = (z % 8) / 8
            greys = grains[z // 8] * (1 - part) + grains[z // 8 + 1] * part
            image = np.kron(greys, np.ones((64, 64))) + random.normal(0, 1000, (SIZE, SIZE))
            image = image.clip(0, 65535).astype(np.uint16)
            tiff.write(image, contiguous=True)
            array[z] = image
            dataset[z] = image


def make_network(folder, program):
    """A network of 30 layers and two classes, bright and dark, trained for a few steps; as a model and in ONNX."""
    if (folder / "network.onnx").exists():
        return
    image = tifffile.imread(folder / "stack.tif", key=0)[:512, :512]
    tifffile.imwrite(folder / "image.tif", image)
    tifffile.imwrite(folder / "labels.tif", (image > 11000).astype(np.uint8))
    train = "train segment --images image.tif --targets labels.tif --depth 30 --stem none"
    run([program, *train.split(), "--normalise", "mean", "--max-steps", "30", "--device", "cpu", "--out", "run"], folder)
    run([program, *"export run --onnx network.onnx".split()], folder)


def run(command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr}")
    return done


def bench(program):
    command = [program, *f"bench --device cpu --size {SIZE} --depth 30 --stem none --json".split()]
    lines = [json.loads(line) for line in run(command, None).stdout.splitlines()]
    return next(line["seconds"] for line in lines if line["what"] == "forward")


def timed(command, folder):
    """Seconds of the whole process, and the most memory in MiB that was resident."""
    started = time.monotonic()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)}: {said.decode()}")
    return time.monotonic() - started, usage.ru_maxrss // 1024


def loop(folder, kind, result, slices):
    """What a script in Python does."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    session = onnxruntime.InferenceSession(folder / "network.onnx", options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def classes(image):
        outputs = session.run(None, {name: image.astype(np.float32)[None, None]})[0]
        return outputs[0].argmax(0).astype(np.uint8)

    if kind == "TIFF":
        with tifffile.TiffFile(folder / "stack.tif") as stack, tifffile.TiffWriter(result) as out:
            pages = stack.series[0]
            volume = tifffile.memmap(folder / "stack.tif") if len(pages.pages) == 1 else None
            for z in range(slices):
                out.write(classes(volume[z] if volume is not None else pages.pages[z].asarray()), contiguous=True)
    elif kind == "HDF5":
        with h5py.File(folder / "stack.h5") as stack, h5py.File(result, "w") as out:
            volume = stack["volume"]
            labels = out.create_dataset("labels", (slices, SIZE, SIZE), "uint8", chunks=(1, 512, 512), compression="gzip")
            for z in range(slices):
                labels[z] = classes(volume[z])
    else:
        volume = zarr.open_group(folder / "stack.ome.zarr", mode="r")["0"]
        labels = zarr.create_array(
            result, shape=(slices, SIZE, SIZE), chunks=(1, 512, 512), dtype="uint8", overwrite=True
        )
        for z in range(slices):
            labels[z] = classes(volume[z])


def compared(kind, ours, theirs, slices):
    """Of the slices that both have done, the pixels of another class."""
    found = next(path for path in sorted(ours.rglob("*")) if path.name.endswith((".tif", ".h5", ".zarr")))
    if kind == "TIFF":
        pairs = ((tifffile.imread(found, key=z), tifffile.imread(theirs, key=z)) for z in range(slices))
    elif kind == "HDF5":
        ours, theirs = h5py.File(found), h5py.File(theirs)
        names = []
        ours.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        pairs = ((np.squeeze(ours[names[0]][z]), theirs["labels"][z]) for z in range(slices))
    else:
        group = zarr.open(found, mode="r")
        if isinstance(group, zarr.Group) and "labels" in group:
            group = group["labels"]
            group = group[next(iter(group.group_keys()))]
        ours, theirs = group if isinstance(group, zarr.Array) else group["0"], zarr.open_array(theirs, mode="r")
        pairs = ((np.squeeze(ours[z]), theirs[z]) for z in range(slices))
    return sum(int((mine != peer).sum()) for mine, peer in pairs)


if __name__ == "__main__":
    main()
