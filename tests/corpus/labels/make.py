"""Writes the files beside it: labels as Labkit, ilastik and others keep them, for an image of 40 x 30 pixels and a stack of three slices of
that size, called `a` and `stack`.

    python make.py [FOLDER]

Needs numpy, h5py and nibabel. In all files of the stack, `fibre` is row 5 of slice 0 from column 2 to 20, and `ground` are rows 20 to 29 of
slice 1, columns 10 to 29.
"""

import json
import pathlib
import sys

import h5py
import nibabel
import numpy as np

FOLDER = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
LABELS = np.zeros((3, 30, 40), "u1")
LABELS[0, 5, 2:21] = 1
LABELS[1, 20:30, 10:30] = 2


def write_labkit():
    def of(value):
        return [[int(x), int(y), int(z)] for z, y, x in np.argwhere(LABELS == value)]

    labeling = {
        "interval": {"n": 3, "min": [0, 0, 0], "max": [39, 29, 2]},
        "pixelSizes": [{"size": 1.0, "unit": "pixel"}] * 3,
        # What lies in two labels is of the last one.
        "labels": {"ground": of(2) + [[2, 5, 0]], "fibre": of(1)},
        "colors": {"ground": "#3182BD", "fibre": "#E6550D"},
    }
    (FOLDER / "labkit.labeling").write_text(json.dumps(labeling))


def write_ilastik():
    with h5py.File(FOLDER / "ilastik.ilp", "w") as file:
        file["ilastikVersion"] = b"1.4.0"
        for lane, path in enumerate((b"/home/somebody/a.png", b"C:\\data\\stack.h5")):
            file[f"Input Data/infos/lane{lane:04}/Raw Data/filePath"] = path
        classes = file.create_group("PixelClassification")
        classes["LabelNames"] = np.array([b"fibre", b"ground"])
        classes["LabelColors"] = np.array([[230, 85, 13], [49, 130, 189]])
        sets = classes.create_group("LabelSets")
        block = sets.create_dataset("labels000/block0000", data=np.full((2, 3, 1), 2, "u1"))
        block.attrs["blockSlice"] = b"[1:3,4:7,0:1]"
        for number, slices in enumerate((np.s_[0:1, 0:10, 0:40], np.s_[1:2, 15:30, 5:35])):
            data = LABELS[slices][..., None]
            block = sets.create_dataset(f"labels001/block{number:04}", data=data, compression="gzip")
            text = ",".join(f"{part.start}:{part.stop}" for part in (*slices, slice(0, 1)))
            block.attrs["blockSlice"] = f"[{text}]".encode()


def write_images():
    with h5py.File(FOLDER / "exported.h5", "w") as file:
        data = file.create_dataset("exported_data", data=LABELS[..., None])
        axes = [{"key": key, "typeFlags": 1 if key == "c" else 2, "resolution": 0, "description": ""} for key in "zyxc"]
        data.attrs["axistags"] = json.dumps({"axes": axes})
    nibabel.save(nibabel.Nifti1Image(LABELS.T, np.eye(4)), FOLDER / "labels.nii.gz")


if __name__ == "__main__":
    write_labkit()
    write_ilastik()
    write_images()
