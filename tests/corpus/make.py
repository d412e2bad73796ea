"""Writes the files beside it: small arrays as other programs store them, which tests read.

    python make.py [FOLDER]

Needs numpy, h5py, hdf5plugin, mrcfile, nibabel and tifffile. What each file holds is said by `numbers`: number `n` of an array, the last axis
fastest, is `n * 7 % 251` in its own type.
"""

import gzip
import json
import pathlib
import sys

import h5py
import hdf5plugin
import mrcfile
import nibabel
import numpy as np
import tifffile

FOLDER = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent)


def numbers(shape, dtype="u1"):
    return (np.arange(np.prod(shape)) * 7 % 251).astype(dtype).reshape(shape)


def place(kind, name):
    folder = FOLDER / kind
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


def hdf5(name, libver="earliest"):
    return h5py.File(place("hdf5", name), "w", libver=("earliest" if libver == "earliest" else libver, "v114"))


def write_hdf5():
    # What HDF5 2.0 calls its latest form is not read; that of 1.14 is.
    for libver in ("earliest", "v114"):
        with hdf5(f"plain_{libver}.h5", libver=libver) as file:
            data = file.create_dataset("data", data=numbers((3, 4, 5), ">u2"))
            data.attrs["element_size_um"] = np.array([2, 0.7, 0.5], "f4")
            data.dims[0].label, data.dims[1].label, data.dims[2].label = "x", "z", "y"
            file["note"] = "text"
            file["list"] = np.arange(7)
        with hdf5(f"chunks_{libver}.h5", libver=libver) as file:
            options = dict(chunks=(2, 4, 3), compression="gzip", shuffle=True, fletcher32=True)
            data = file.create_dataset("exported_data", data=numbers((5, 7, 4), "<f4"), **options)
            keys = [{"key": key, "typeFlags": 2, "resolution": 0, "description": ""} for key in "yxz"]
            data.attrs["axistags"] = json.dumps({"axes": keys})
        with hdf5(f"scan_{libver}.h5", libver=libver) as file:
            group = file.create_group("entry/instrument/detector")
            group.create_dataset("data", data=numbers((6, 4, 5), "u2"), chunks=(1, 4, 5), maxshape=(None, 4, 5))
            group["flat"] = numbers((4, 5), "u2")
            file["entry/data"] = h5py.SoftLink("/entry/instrument/detector/data")
            file["entry/other"] = h5py.ExternalLink("other.h5", "/data")
            file["entry/loop"] = file["entry"]
    with hdf5("several.h5") as file:
        file["raw"] = numbers((3, 4, 5))
        file["labels"] = numbers((3, 4, 5)) > 100
        file["half"] = numbers((4, 5), "f2")
        file.create_dataset("compact", data=numbers((4, 5), "<i8"))
        file.create_dataset("lzf", data=np.zeros((4, 50), "u2") + np.arange(50, dtype="u2") % 9, compression="lzf", shuffle=True)
        file.create_dataset("noise", data=np.random.default_rng(1).integers(0, 255, (8, 8), "u1"), compression="lzf")
        file.create_dataset("zstd", data=numbers((4, 5), "u2"), **hdf5plugin.Zstd())
        file.create_dataset("bitshuffle", data=numbers((4, 5), "u2"), **hdf5plugin.Bitshuffle())
        holes = file.create_dataset("holes", (6, 8), "i2", chunks=(2, 4), compression="gzip", fillvalue=-3)
        holes[3, 5] = 9
        file.create_dataset("unwritten", (4, 5), "u1")
        layout = h5py.VirtualLayout((4, 5), "u1")
        layout[:] = h5py.VirtualSource(file["raw"])[0]
        file.create_virtual_dataset("virtual", layout)
        file["complex"] = numbers((4, 5), "c8")
    with hdf5("kinds.h5") as file:
        # What is no array of numbers, beside one that is.
        file["entry/data"] = numbers((2, 3, 4))
        file["texts"] = np.array([[b"ab", b"cd"], [b"e", b"f"]])
        file.create_dataset("words", data=np.array([["ab", "c"], ["e", "f"]], dtype=object), dtype=h5py.string_dtype())
        file["records"] = np.zeros((30, 40), dtype=[("red", "u1"), ("green", "u1")])
        file["complex"] = np.zeros((30, 4, 5), "c8")
        file.create_dataset("references", data=np.full((3, 2), file["entry"].ref, dtype=h5py.ref_dtype), dtype=h5py.ref_dtype)
        file["bytes"] = np.zeros((3, 4), "V7")
        file.create_dataset("lists", (3, 4), dtype=h5py.vlen_dtype("u2"))
        file.create_dataset("arrays", (3, 4), dtype=np.dtype("(2,3)u2"))
        file["long"] = np.zeros((3, 4), np.longdouble)
        file["type"] = np.dtype("u2")
        file["nothing"] = h5py.Empty("f4")
    with h5py.File(place("hdf5", "newest.h5"), "w", libver="latest") as file:
        file.create_dataset("data", data=numbers((5, 7, 4)), chunks=(2, 4, 3), compression="gzip")
    with hdf5("btree2.h5", libver="v114") as file:
        file.create_dataset("data", data=numbers((6, 8)), chunks=(2, 4), maxshape=(None, None))
    with hdf5("trees.h5", libver="v114") as file:
        options = dict(maxshape=(None, None, None), compression="gzip")
        file.create_dataset("many", data=numbers((40, 12, 12)), chunks=(1, 3, 3), **options)
        holes = file.create_dataset("holes", (9, 8), "i2", chunks=(2, 4), maxshape=(None, None), fillvalue=-3)
        holes[3, 5] = 9
        holes[8] = 7
    with hdf5("refused.h5") as file:
        for name, filter in [
            ("blosc", hdf5plugin.Blosc()),
            ("blosc2", hdf5plugin.Blosc2()),
            ("lz4", hdf5plugin.LZ4()),
        ]:
            file.create_dataset(name, data=numbers((4, 5), "u2"), **filter)
        file.create_dataset("scale", data=numbers((4, 5), "u2"), chunks=(4, 5), scaleoffset=0)
        file.create_dataset("external", (4, 5), "u2", external=[("other.raw", 0, h5py.h5f.UNLIMITED)])

    # Large chunks that are not what they should be; tests put others in their place.
    for name, filter in [("gzip", dict(compression="gzip")), ("lzf", dict(compression="lzf")), ("zstd", hdf5plugin.Zstd())]:
        with hdf5(f"large_{name}.h5") as file:
            data = file.create_dataset("data", (11200, 11200), "u1", chunks=(11200, 11200), **filter)
            data.id.write_direct_chunk((0, 0), b"chunk")

    space = h5py.h5s.create_simple((4, 5))
    with hdf5("compact.h5") as file:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_layout(h5py.h5d.COMPACT)
        data = h5py.h5d.create(file.id, b"data", h5py.h5t.STD_I16BE, space, plist)
        data.write(h5py.h5s.ALL, h5py.h5s.ALL, numbers((4, 5), ">i2"))
    # A program that was killed while others could read along.
    path = place("hdf5", "marked.h5")
    file = h5py.File(path, "w", libver="latest")
    data = file.create_dataset("data", data=numbers((2, 4, 5)), chunks=(1, 4, 5), maxshape=(None, 4, 5))
    file.swmr_mode = True
    data.resize(3, axis=0)
    data[:] = numbers((3, 4, 5))
    data.flush()
    written = path.read_bytes()
    data.resize(5, axis=0)
    data[:] = numbers((5, 4, 5))
    data.flush()
    grown = path.read_bytes()
    file.close()
    path.write_bytes(written)
    place("hdf5", "marked_grown.h5").write_bytes(grown)

    write_links()
    write_packed()
    write_virtual()
    write_modules()


def write_packed():
    """Filters that others bring: Blosc and bitshuffle. No length is a multiple of eight numbers, or of a block."""
    filters = {
        "blosc": hdf5plugin.Blosc(),
        "blosc_zstd_bits": hdf5plugin.Blosc(cname="zstd", shuffle=hdf5plugin.Blosc.BITSHUFFLE),
        "blosc_zlib": hdf5plugin.Blosc(cname="zlib", shuffle=hdf5plugin.Blosc.NOSHUFFLE),
        "blosc_blosclz": hdf5plugin.Blosc(cname="blosclz"),
        "bits_lz4": hdf5plugin.Bitshuffle(),
        "bits_lz4_blocks": hdf5plugin.Bitshuffle(nelems=64),
        "bits_zstd": hdf5plugin.Bitshuffle(nelems=64, cname="zstd"),
        "bits": hdf5plugin.Bitshuffle(nelems=64, cname="none"),
    }
    with h5py.File(place("hdf5", "packed.h5"), "w") as file:
        for name, filter in filters.items():
            file.create_dataset(name, data=numbers((2, 17, 21), "u2"), chunks=(1, 17, 21), **filter)
        file.create_dataset("deep", data=numbers((2, 17, 21), "f8"), chunks=(1, 17, 21), **hdf5plugin.Bitshuffle())
    with h5py.File(place("hdf5", "lz4.h5"), "w") as file:
        # Blocks that stay as they are, and those that become shorter.
        options = dict(chunks=(1, 17, 21), **hdf5plugin.LZ4(nbytes=256))
        file.create_dataset("numbers", data=numbers((2, 17, 21), "u2"), **options)
        steps = np.repeat(np.arange(17, dtype="u2"), 21).reshape(17, 21)
        file.create_dataset("steps", data=np.stack([steps, steps]), **options)


def write_virtual():
    """Virtual datasets: frames that a detector has written to several files, as beamlines put them together."""
    for lib in ("earliest", "v114", "latest"):
        libver = lib if lib == "latest" else (lib, "v114")

        def new(name):
            return h5py.File(place("hdf5/virtual", f"{name}_{lib}.h5"), "w", libver=libver)

        def frames(number, count=4):
            return h5py.VirtualSource(f"frames_{lib}_{number}.h5", "entry/data", (count, 6, 7), maxshape=(None, 6, 7))

        for number in range(3):
            with h5py.File(place("hdf5/virtual", f"frames_{lib}_{number}.h5"), "w", libver=("earliest", "v114")) as file:
                data = numbers((12, 6, 7), "u2")[number * 4:number * 4 + 4]
                file.create_dataset("entry/data", data=data, chunks=(3, 6, 7), maxshape=(None, 6, 7), compression="gzip")
        with new("sets") as file:
            layout = h5py.VirtualLayout((12, 6, 7), "u2")
            for number in range(3):
                layout[number * 4:number * 4 + 4] = frames(number)
            file.create_virtual_dataset("one_after_the_other", layout)
            # The frames in turn, and the last one of none.
            layout = h5py.VirtualLayout((13, 6, 7), "u2")
            for number in range(3):
                layout[number:12:3] = frames(number)
            file.create_virtual_dataset("in_turn", layout, fillvalue=77)
            # Modules side by side, with gaps between.
            layout = h5py.VirtualLayout((4, 14, 9), "i4")
            for number in range(2):
                layout[:, number * 8:number * 8 + 6, 1:8] = frames(number)
            file.create_virtual_dataset("modules", layout, fillvalue=-1)
            layout = h5py.VirtualLayout((4, 6, 7), "u2", maxshape=(None, 6, 7))
            layout[: h5py.h5s.UNLIMITED] = frames(0)[: h5py.h5s.UNLIMITED]
            file.create_virtual_dataset("growing", layout)
            # Every second column of some slices, from this file, by a group.
            file["raw"] = numbers((5, 6, 14), "u1")
            layout = h5py.VirtualLayout((3, 6, 7), "f4")
            layout[0] = h5py.VirtualSource(file["raw"])[3, :, ::2]
            layout[1:] = h5py.VirtualSource(".", "raw", (5, 6, 14))[[0, 4], :, 1::2]
            file.create_virtual_dataset("columns", layout)
            layout = h5py.VirtualLayout((12, 6, 7), "u2")
            layout[...] = h5py.VirtualSource(".", "one_after_the_other", (12, 6, 7))
            file.create_virtual_dataset("of_another", layout)
            layout = h5py.VirtualLayout((8, 6, 7), "u2")
            layout[:4], layout[4:] = frames(0), frames(9)
            file.create_virtual_dataset("missing", layout)
            layout = h5py.VirtualLayout((6, 6, 7), "u2")
            layout[...] = frames(0, 6)
            file.create_virtual_dataset("too_short", layout)
            layout = h5py.VirtualLayout((2, 6, 7), "u2")
            layout[...] = frames(0, 6)[3:5]
            file.create_virtual_dataset("outside", layout)
            layout = h5py.VirtualLayout((4, 6, 7), "u2")
            layout[...] = h5py.VirtualSource("../links.h5", "data", (4, 6, 7))
            file.create_virtual_dataset("above", layout)
            layout = h5py.VirtualLayout((4, 6, 7), "u2")
            layout[...] = h5py.VirtualSource("/data/visit/frames_%s_0.h5" % lib, "entry/data", (4, 6, 7))
            file.create_virtual_dataset("moved", layout)
            for name, other in [("round", "and_round"), ("and_round", "round")]:
                layout = h5py.VirtualLayout((4, 6, 7), "u2")
                layout[...] = h5py.VirtualSource(".", other, (4, 6, 7))
                file.create_virtual_dataset(name, layout)
            space = h5py.h5s.create_simple((12, 6, 7), (h5py.h5s.UNLIMITED, 6, 7))
            blocks = space.copy()
            blocks.select_hyperslab((0, 0, 0), (h5py.h5s.UNLIMITED, 1, 1), (4, 1, 1), (4, 6, 7))
            plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plist.set_virtual(blocks, f"frames_{lib}_%b.h5".encode(), b"entry/data", h5py.h5s.create_simple((4, 6, 7)))
            h5py.h5d.create(file.id, b"numbered", h5py.h5t.NATIVE_UINT16, space, plist)


def write_modules():
    """A virtual dataset of 16 modules side by side, whose chunks are 64 slices thick: one slice touches 128 MiB of them."""
    with h5py.File(place("hdf5/virtual", "thick_modules.h5"), "w", libver=("v114", "v114")) as file:
        layout = h5py.VirtualLayout((64, 1024, 1024), "u2")
        for number in range(16):
            # Of each slice one number, so that a chunk of 2 MiB becomes short.
            data = np.repeat(np.arange(64, dtype="u2") + 64 * number, 256 * 256).reshape(64, 256, 256)
            module = file.create_dataset(f"module_{number}", data=data, chunks=(64, 128, 128), **hdf5plugin.Zstd(clevel=19))
            y, x = number // 4 * 256, number % 4 * 256
            layout[:, y:y + 256, x:x + 256] = h5py.VirtualSource(module)
        file.create_virtual_dataset("all", layout)


def write_tiff():
    """Pyramids: smaller versions of pages in directories below theirs, as OME-TIFF has them, and in pages behind the first one."""
    sizes = dict(PhysicalSizeX=0.5, PhysicalSizeXUnit="\u00b5m", PhysicalSizeY=0.25, PhysicalSizeYUnit="\u00b5m")

    def pyramid(name, array, metadata, levels, **options):
        options = dict(tile=(16, 16), **options)
        with tifffile.TiffWriter(place("tiff", name), ome=True) as file:
            file.write(array, subifds=levels, metadata=metadata, **options)
            for level in range(levels):
                by = 2 ** (level + 1)
                file.write(array[..., ::by, ::by] if "photometric" not in options else array[::by, ::by], subfiletype=1, **options)

    channels = dict(axes="CYX", Channel={"Name": ["DAPI", "GFP"]}, **sizes)
    pyramid("channels.ome.tif", numbers((2, 35, 48), "u2"), channels, 2)
    pyramid("slices.ome.tif", numbers((3, 35, 48), "u1"), dict(axes="ZYX", PhysicalSizeZ=2, **sizes), 1)
    pyramid("colours.ome.tif", numbers((35, 48, 3), "u1"), dict(axes="YXS"), 1, photometric="rgb")
    # A picture of the label behind a slide, without smaller versions.
    with tifffile.TiffWriter(place("tiff", "slide.ome.tif"), ome=True) as file:
        file.write(numbers((35, 48), "u1"), subifds=1, tile=(16, 16), metadata=dict(axes="YX", **sizes))
        file.write(numbers((35, 48), "u1")[::2, ::2], subfiletype=1, tile=(16, 16))
        file.write(numbers((20, 10), "u1"), metadata=dict(axes="YX", Name="label"))
    for name, kind in [("pages.tif", 1), ("plain_pages.tif", 0)]:
        with tifffile.TiffWriter(place("tiff", name)) as file:
            for level in range(3):
                by = 2**level
                file.write(numbers((35, 48), "u2")[::by, ::by], subfiletype=kind if level else 0, metadata=None)


def write_links():
    """Links, by h5py as people mostly call it: groups of the older form."""
    with h5py.File(place("hdf5", "links.h5"), "w") as file:
        file["entry/instrument/detector/data"] = numbers((3, 4, 5), "u2")
        file["entry/data/data"] = h5py.SoftLink("/entry/instrument/detector/data")
        file["entry/data/same"] = file["entry/instrument/detector/data"]
        file["entry/data/relative"] = h5py.SoftLink("data")
        file["entry/data/nothing"] = h5py.SoftLink("/entry/nothing")
        file["entry/camera"] = h5py.SoftLink("instrument/./detector/")
        file["entry/round"] = h5py.SoftLink("/entry/and_round")
        file["entry/and_round"] = h5py.SoftLink("/entry/round/data")
        file["image"] = h5py.SoftLink("/entry/data/relative")
    with h5py.File(place("hdf5", "link_only.h5"), "w") as file:
        file["entry/data"] = numbers((3, 4, 5), "u2")
        file["soft"] = h5py.SoftLink("/entry/data")
    # Newer groups keep many links elsewhere than in their header.
    with hdf5("links_many.h5", libver="v114") as file:
        file["data"] = numbers((3, 4, 5), "u2")
        for number in range(120):
            file[f"links/to_the_data_{number:03}"] = h5py.SoftLink(f"/links/to_the_data_{number + 1:03}" if number < 9 else "/data")
    # A detector writes a file that leads to those with its images.
    with h5py.File(place("hdf5/detector", "x_master.h5"), "w") as file:
        file["entry/instrument/mask"] = np.zeros((4, 5), "u1")
        for number in range(1, 13):
            file[f"entry/data/data_{number:06}"] = h5py.ExternalLink(f"x_data_{number:06}.h5", "/entry/data/data")
        file["entry/first"] = h5py.SoftLink("/entry/data/data_000001")
        file["entry/whole"] = h5py.ExternalLink("./x_data_000002.h5", "entry")
        file["entry/above"] = h5py.ExternalLink("../links.h5", "/entry/data/same")
        file["entry/absolute"] = h5py.ExternalLink("/links.h5", "/entry/data/same")
        file["entry/itself"] = h5py.ExternalLink("x_master.h5", "/entry/itself")
    for number in range(1, 3):
        with h5py.File(place("hdf5/detector", f"x_data_{number:06}.h5"), "w") as file:
            file["entry/data/data"] = numbers((3, 4, 5), "u2") + number
    with h5py.File(place("hdf5/detector", "one_master.h5"), "w") as file:
        file["entry/data/data_000001"] = h5py.ExternalLink("x_data_000001.h5", "/entry/data/data")
        file["entry/instrument/mask"] = np.zeros((4, 5), "u1")


def write_mrc():
    for dtype, name in [("i1", "i1"), ("<i2", "i2"), (">f4", "f4_big"), ("u2", "u2"), ("f2", "f2")]:
        with mrcfile.new(place("mrc", f"{name}.mrc"), overwrite=True) as file:
            file.set_data((numbers((3, 4, 5)) % 120).astype(dtype))
            file.voxel_size = (0.7, 0.5, 2)
    with mrcfile.new(place("mrc", "stack.mrcs"), overwrite=True) as file:
        file.set_data(numbers((3, 4, 5), "i2"))
        file.set_image_stack()
        file.set_extended_header(np.frombuffer(b"x" * 160, "V1"))
    with mrcfile.new(place("mrc", "packed.mrc.gz"), overwrite=True, compression="gzip") as file:
        file.set_data(numbers((3, 4, 5), "i2"))


def write_nifti():
    affine = np.diag([0.5, 0.7, 2, 1])

    def save(name, image):
        image.header.set_xyzt_units("mm", "sec")
        nibabel.save(image, place("nifti", name))

    # Turned round, as numbers are counted from the last axis on.
    for dtype in ("u1", "i2", "i4", "f4", "f8", "i1", "u2", "u4", "i8", "u8"):
        save(f"{dtype}.nii", nibabel.Nifti1Image((numbers((3, 4, 5)) % 120).astype(dtype).T, affine, dtype=dtype))
    big = nibabel.Nifti1Header(endianness=">")
    big.set_data_dtype(">i2")
    save("big.nii", nibabel.Nifti1Image(numbers((3, 4, 5), "i2").T, affine, big))
    save("second.nii", nibabel.Nifti2Image(numbers((3, 4, 5), "f4").T, affine))
    save("time.nii", nibabel.Nifti1Image(numbers((2, 3, 4, 5), "i2").T, affine))
    save("channels.nii", nibabel.Nifti1Image(numbers((2, 1, 3, 4, 5), "f4").T, affine))
    save("flat.nii", nibabel.Nifti1Image(numbers((1, 4, 5), "i2").T, affine))
    scaled = nibabel.Nifti1Image(numbers((3, 4, 5), "i2").T, affine)
    scaled.header.set_slope_inter(0.5, 10)
    path = place("nifti", "scaled.nii")
    save("scaled.nii", nibabel.Nifti1Image(numbers((3, 4, 5), "i2").T, affine))
    stored = bytearray(path.read_bytes())
    stored[112:120] = np.array([0.5, 10], "<f4").tobytes()
    path.write_bytes(stored)
    colour = numbers((3, 4, 5, 3)).reshape(3, 4, 5, 3)
    rgb = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    save("colours.nii", nibabel.Nifti1Image(colour.view(rgb).reshape(3, 4, 5).T, affine))
    save("packed.nii.gz", nibabel.Nifti1Image(numbers((3, 4, 5), "i2").T, affine))
    nibabel.save(nibabel.Nifti1Pair(numbers((3, 4, 5), "i2").T, affine), place("nifti", "pair.hdr"))
    place("nifti", "pair.img").unlink()


def write_npy():
    np.save(place("npy", "plain.npy"), numbers((3, 4, 5), ">i2"))
    np.save(place("npy", "fortran.npy"), np.asfortranarray(numbers((4, 5, 6), "f8")))
    np.savez(place("npy", "stored.npz"), volume=numbers((3, 4, 5), "u2"), note=np.arange(3))
    np.savez_compressed(place("npy", "several.npz"), a=numbers((3, 4, 5)), b=numbers((4, 5), "f4"), c=numbers((6, 4, 5), "i4"))
    np.savez_compressed(place("npy", "same.npz"), a=numbers((3, 4, 5)), b=numbers((3, 4, 5)))
    with gzip.GzipFile(place("npy", "packed.npy.gz"), "wb", mtime=0) as file:
        np.save(file, numbers((3, 4, 5), "i2"))
    # A header that promises more than can be behind it, and one that promises a lot of zeros which are there.
    with gzip.GzipFile(place("npy", "lying.npy.gz"), "wb", mtime=0) as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (10**6, 10**5)})
        file.write(bytes(1000))


if __name__ == "__main__":
    write_hdf5()
    write_mrc()
    write_nifti()
    write_npy()
    write_tiff()
