"""Files through models to files, as the command predict does it."""

import _thread
import logging
import os
from pathlib import Path

import msd_gpu
import numpy as np
import pytest
from conftest import discs

h5py = pytest.importorskip("h5py")
tifffile = pytest.importorskip("tifffile")
zarr = pytest.importorskip("zarr")


@pytest.fixture
def stack(tmp_path):
    """A folder with one stack as TIFF, HDF5, Zarr and NPY, and its images."""
    images, _ = discs(5)
    tifffile.imwrite(tmp_path / "scan.tif", images, photometric="minisblack")
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file.create_dataset("entry/data", data=images, chunks=(2, 10, 10), compression="gzip")
    zarr.create_array(tmp_path / "scan.zarr", shape=images.shape, dtype=images.dtype, chunks=(2, 10, 10))[...] = images
    np.save(tmp_path / "scan.npy", images)
    return tmp_path, images


def read(path):
    path = str(path)
    if path.endswith(".zarr"):
        group = zarr.open(path, mode="r")
        while not hasattr(group, "shape"):
            group = group["0"] if "0" in group else group["labels"][next(iter(group["labels"].group_keys()))]
        return np.squeeze(group[...])
    if path.endswith(".h5"):
        with h5py.File(path) as file:
            found = []
            file.visititems(lambda name, thing: found.append(thing[...]) if isinstance(thing, h5py.Dataset) else None)
        return np.squeeze(found[0])
    return np.load(path) if path.endswith(".npy") else tifffile.imread(path)


def test_stacks_of_every_format_become_stacks(stack, segmentation, denoiser, monkeypatch):
    folder, images = stack
    wanted = {model: model.predict(images) for model in (segmentation, denoiser)}
    for model in (segmentation, denoiser):
        for source in ("scan.tif", "scan.h5:/entry/data", "scan.h5", "scan.zarr", "scan.npy"):
            files = model.apply(str(folder / source), folder / f"{model.task} {source[:8].replace(':', '')}")
            assert len(files) == 1 and isinstance(files[0], Path) and files[0].exists()
            assert np.array_equal(read(files[0]), wanted[model]), source
        for name in ("a.tif", "a.ome.zarr", "a.h5", "a.npy"):
            assert model.apply(folder / "scan.tif", folder / model.task / name) == [folder / model.task / name]
            assert np.array_equal(read(folder / model.task / name), wanted[model]), name
    [file] = msd_gpu.Ensemble([segmentation], tta=True).apply(folder / "scan.npy", folder / "ensemble", format="hdf5")
    assert np.array_equal(read(file), msd_gpu.Ensemble([segmentation], tta=True).predict(images))
    # Several inputs, of which each image is taken once.
    both = [folder / "scan.tif", str(folder / "scan.*f")]
    assert segmentation.apply(both, folder / "both") == [folder / "both" / "scan.tif"]
    monkeypatch.chdir(folder)
    assert segmentation.apply("scan.npy", "here") == [Path("here/scan.npy")]


def test_what_predict_knows_apply_knows(stack, segmentation, denoiser):
    folder, images = stack
    names = lambda files: [file.name for file in files]
    files = segmentation.apply(
        folder / "scan.tif", folder / "all", probabilities=True, overlay=True, uncertainty=True, format="tiff"
    )
    assert names(files) == ["scan.tif", "scan_probabilities.tif", "scan_overlay.tif", "scan_entropy.tif"]
    probabilities = read(files[1])
    assert np.array_equal(probabilities.reshape(5, 2, 24, 30), segmentation.predict(images, probabilities=True))
    files = segmentation.apply(folder / "scan.tif", folder / "pages", pages=True, slices="1..4")
    assert names(files) == ["scan_p0001.png", "scan_p0002.png", "scan_p0003.png"]
    [file] = segmentation.apply(folder / "scan.npy", folder / "old", format="zarr", ome="0.4")
    assert (file / ".zattrs").exists()
    [file] = segmentation.apply(folder / "scan.npy", folder / "rescaled", rescale="mean")
    assert np.array_equal(read(file), segmentation.predict(images, rescale="mean"))
    images.tofile(folder / "scan.raw")
    [file] = denoiser.apply(folder / "scan.raw", folder / "of raw.npy", raw="30x24x5:u8")
    assert np.array_equal(read(file), denoiser.predict(images))
    np.save(folder / "channels.npy", np.stack([images, images // 2], 1))
    [file] = denoiser.apply(folder / "channels.npy", folder / "second.npy", axes="ZCYX", channel=1, level=0)
    assert np.array_equal(read(file), denoiser.predict(images // 2))
    for number in range(3):
        np.save(folder / f"part{number}.npy", images + number)
    parts = [segmentation.apply(folder / "part*.npy", folder / "parts", part=f"{part}/2") for part in (1, 2)]
    assert names(parts[0]) == ["part0.npy", "part1.npy"] and names(parts[1]) == ["part2.npy"]
    assert segmentation.apply(folder / "part0.npy", folder / "parts", part="2/2") == []
    # None is as good as nothing.
    assert len(segmentation.apply(folder / "scan.npy", folder / "none", format=None, halo=None, progress=None, level=None)) == 1


def test_images_in_tiles_are_those_of_the_whole(tmp_path, denoiser):
    images, _ = discs(2, (90, 110))
    np.save(tmp_path / "scan.npy", images)
    wanted = denoiser.predict(images)
    denoiser.save(tmp_path / "m.safetensors")
    tiled = msd_gpu.Model.load(tmp_path / "m.safetensors", device="cpu", tile=20)
    seen = []
    [file] = tiled.apply(tmp_path / "scan.npy", tmp_path / "tiles", progress=lambda *report: seen.append(report))
    assert np.array_equal(read(file), wanted)
    assert len(seen) > 2 * 20 and seen[0][:2] == (0, 2) and 0 < seen[0][2] < 0.1
    assert [report[2] for report in seen if report[0] == 1][-1] == 1.0 and seen[-1][3] == str(tmp_path / "scan.npy")
    [file] = tiled.apply(tmp_path / "scan.npy", tmp_path / "by halo", halo=denoiser.halo)
    assert np.array_equal(read(file), wanted)
    [file] = denoiser.apply(tmp_path / "scan.npy", tmp_path / "by memory", memory=67_500_000, halo="auto")
    assert np.allclose(read(file), wanted, atol=1e-3 * wanted.std())
    with pytest.raises(MemoryError, match="give more with memory, or a smaller halo"):
        denoiser.apply(tmp_path / "scan.npy", tmp_path / "too little", memory="64MiB")


def test_progress_stops_the_work_and_resume_goes_on(stack, segmentation, denoiser):
    folder, images = stack
    for model, out in ((segmentation, folder / "one.tif"), (segmentation, folder / "one.npy"), (denoiser, folder / "one.h5")):
        wanted = model.predict(images)
        seen = []

        def second(index, count, done, name):
            seen.append((index, count, done))
            return len(seen) < 2

        with pytest.raises(RuntimeError, match="stopped on request .*resume=True goes on"):
            model.apply(folder / "scan.tif", out, progress=second)
        assert len(seen) == 2 and not out.exists(), "nothing unfinished has a name that says otherwise"
        seen = []
        count = lambda index, count, done, name: seen.append(index)
        assert model.apply(folder / "scan.tif", out, resume=True, progress=count) == [out]
        assert np.array_equal(read(out), wanted)
    # Other work is not gone on with.
    with pytest.raises(RuntimeError):
        denoiser.apply(folder / "scan.tif", folder / "other", progress=lambda *report: False)
    with pytest.raises(ValueError, match="resume"):
        segmentation.apply(folder / "scan.tif", folder / "other", resume=True)


def test_what_is_raised_meanwhile_comes_through(stack, denoiser):
    folder, images = stack

    def breaks(*report):
        raise KeyError("of the callback")

    with pytest.raises(KeyError, match="of the callback"):
        denoiser.apply(folder / "scan.tif", folder / "out.npy", progress=breaks)
    with pytest.raises(KeyboardInterrupt):
        denoiser.apply(folder / "scan.tif", folder / "out.npy", progress=lambda *report: _thread.interrupt_main())
    assert not (folder / "out.npy").exists()
    assert denoiser.apply(folder / "scan.tif", folder / "out.npy", resume=True) == [folder / "out.npy"]
    # The callback may use the model itself.
    found = []
    denoiser.apply(folder / "scan.tif", folder / "again.npy", progress=lambda *report: found.append(denoiser.predict(images[0])))
    assert np.array_equal(read(folder / "again.npy")[0], found[0])


def test_images_that_cannot_be_used_are_named_and_can_be_passed_over(stack, segmentation, caplog):
    folder, images = stack
    several = folder / "several"
    several.mkdir()
    for number in range(3):
        tifffile.imwrite(several / f"{number}.tif", images[number])
    (several / "1.tif").write_bytes((several / "1.tif").read_bytes()[:300])
    with pytest.raises(ValueError, match="1.tif"):
        segmentation.apply(several, folder / "out")
    with caplog.at_level(logging.INFO, "msd_gpu"), pytest.raises(RuntimeError, match="1 of 3 images could not be done"):
        segmentation.apply(several, folder / "out", keep_going=True)
    assert any("1.tif" in record.message for record in caplog.records if record.levelname == "ERROR")
    # The record of results is hidden.
    assert sorted(name for name in os.listdir(folder / "out") if not name.startswith(".")) == ["0.png", "2.png"]
    tifffile.imwrite(folder / "colours.tif", np.stack([images[0], images[1]]), planarconfig="separate", photometric="minisblack", metadata={"axes": "CYX"})
    with pytest.raises(ValueError, match="has 2 channels.*axes="):
        segmentation.apply(folder / "colours.tif", folder / "out", axes="CYX")


def test_requests_that_cannot_be_met_are_said_in_one_sentence(stack, segmentation, denoiser):
    folder, images = stack
    for kind, parts, options in [
        (TypeError, ["Model.apply() got", "'halos'", "the nearest is 'halo'"], {"halos": 3}),
        (TypeError, ["help(msd_gpu.Model.apply)"], {"something": 3}),
        (TypeError, ["resume is 1, an int; wanted a bool"], {"resume": 1}),
        (TypeError, ["progress is 3, an int; wanted a function"], {"progress": 3}),
        (TypeError, ["halo is 2.5, a float; wanted an int or a str"], {"halo": 2.5}),
        (TypeError, ["halo is True, a bool; wanted an int or a str"], {"halo": True}),
        (TypeError, ["format is 3, an int"], {"format": 3}),
        (TypeError, ["slices is 3, an int"], {"slices": 3}),
        (TypeError, ["level is 'fine', a str; wanted an int"], {"level": "fine"}),
        (TypeError, ["part is 2, an int"], {"part": 2}),
        (ValueError, ["halo is 'wide'", "exact, auto"], {"halo": "wide"}),
        (ValueError, ["halo is '-3'"], {"halo": -3}),
        (ValueError, ["memory is 'much'", "2GB"], {"memory": "much"}),
        (ValueError, ["memory is '0'"], {"memory": 0}),
        (ValueError, ["format is 'gif'", "tiff", "zarr"], {"format": "gif"}),
        (ValueError, ["ome is '0.3'", "0.4 or 0.5"], {"ome": "0.3"}),
        (ValueError, ["part is '3/2'"], {"part": "3/2"}),
        (ValueError, ["channel is -1"], {"channel": -1}),
        (ValueError, ["slices is"], {"slices": "7..9"}),
        (ValueError, ["slices is"], {"slices": "some"}),
        (ValueError, ["axes"], {"axes": "ZZ"}),
        (ValueError, ["rescale is 'max'"], {"rescale": "max"}),
    ]:
        with pytest.raises(kind) as error:
            segmentation.apply(folder / "scan.tif", folder / "out", **options)
        text = str(error.value)
        assert type(error.value) is kind and "\n" not in text and "`" not in text and "--" not in text, text
        assert all(part in text for part in parts), text
    with pytest.raises(ValueError, match="probabilities is given for a regression"):
        denoiser.apply(folder / "scan.tif", folder / "out", probabilities=True)
    with pytest.raises(FileNotFoundError):
        segmentation.apply(folder / "nothing.tif", folder / "out")
    with pytest.raises(ValueError, match="out is .*a.npy, the name of a file, for 2 of them"):
        segmentation.apply([folder / "scan.tif", folder / "scan.npy"], folder / "a.npy")
    with pytest.raises(ValueError, match="out is .*could be overwritten"):
        segmentation.apply(folder / "scan.tif", folder)
    for wrong in (3, None, [3], [folder, None]):
        with pytest.raises(TypeError, match="input"):
            segmentation.apply(wrong, folder / "out")
    with pytest.raises(ValueError, match="input is empty"):
        segmentation.apply([], folder / "out")
    with pytest.raises(TypeError, match="out is 3, an int"):
        segmentation.apply(folder / "scan.tif", 3)
    assert not (folder / "out").exists()
