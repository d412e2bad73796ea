"""msd_gpu.dask: blocks of dask arrays, in threads, processes and on the workers of a cluster."""

import contextlib
import json
import logging
import os
import pickle
import subprocess
import sys
import threading

import msd_gpu
import numpy as np
import pytest
from conftest import QUICK, discs
from test_processes import HAS_FORK

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")

from msd_gpu.dask import predict  # noqa: E402


@pytest.fixture(scope="module")
def per_image():
    images, labels = discs()
    return msd_gpu.train(images, labels, task="segment", max_steps=20, normalise_per_image=True, **QUICK)


def count_openings():
    """Keeps the devices on which models are opened from now on, in this process, by unpickling or by msd_gpu.dask."""
    devices, restore = [], msd_gpu._restore_model

    def counted(*parts):
        devices.append(parts[1])
        return restore(*parts)

    # As the function that it stands for is pickled: by its name.
    counted.__module__, counted.__qualname__ = "msd_gpu", "_restore_model"
    msd_gpu._restore_model, msd_gpu.openings = counted, devices
    return devices


def openings():
    return os.getpid(), msd_gpu.openings, len(msd_gpu.dask._open)


@contextlib.contextmanager
def counted_openings(monkeypatch):
    monkeypatch.setattr(msd_gpu, "_restore_model", msd_gpu._restore_model)
    msd_gpu.dask._open.clear()
    yield count_openings()
    msd_gpu.dask._open.clear()


def check(array, model, chunks, **options):
    """The result is that of model.predict, and its shape, type and chunks are known beforehand."""
    found = predict(da.from_array(array, chunks=chunks), model, **options)
    wanted = model.predict(array, **options)
    assert (found.shape, found.dtype, found._meta.ndim) == (wanted.shape, wanted.dtype, wanted.ndim)
    computed = found.compute()
    assert computed.dtype == wanted.dtype and np.array_equal(computed, wanted)
    return found


@pytest.mark.parametrize("block", [(22, 28), 7, (1, 26), (30, -1), 1000])
def test_blocks_give_what_the_whole_gives(segmentation, denoiser, block):
    images, _ = discs(3, (44, 50))
    rows, columns = block if isinstance(block, tuple) else (block, block)
    assert check(images, segmentation, (2, rows, columns)).chunks == da.from_array(images, chunks=(2, rows, columns)).chunks
    check(images, segmentation, (3, rows, columns), probabilities=True)
    check(images, denoiser, (3, rows, columns))
    check(images[:1, None], denoiser, (1, 1, rows, columns))
    for model in (segmentation, denoiser):
        check(images[0], model, (rows, columns))


def test_channels_are_seen_together(colour, regression):
    images, _ = discs(2, (60, 70))
    channels = np.stack([images, 255 - images, images // 2], 1)
    check(channels, colour, (2, 1, 40, 40))
    check(channels, colour, (2, 2, 40, 40), probabilities=True)
    check(channels[0], colour, (1, 40, 40))
    # Columns as many as channels are no mistake where the channels are right.
    check(channels[..., :3], colour, (2, 1, 40, 2))
    # One channel in, two out.
    check(images, regression, (1, 40, 40))
    check(images[0], regression, (40, 40))
    check(images[:1, None], regression, (1, 1, 40, 40))


def test_images_smaller_than_what_counts_around_a_pixel(segmentation):
    images, _ = discs(2, (6, 9))
    check(images, segmentation, (1, 2, 3))
    check(images[:, :1, :1], segmentation, (1, 1, 1))


def test_ensembles_and_paths(segmentation, tmp_path):
    images, _ = discs(2, (60, 70))
    check(images, msd_gpu.Ensemble([segmentation, segmentation], tta=True), (1, 40, 40), probabilities=True)
    segmentation.save(tmp_path / "m.safetensors")
    for path in (tmp_path / "m.safetensors", str(tmp_path / "m.safetensors")):
        found = predict(da.from_array(images, chunks=(1, 40, 40)), path, device="cpu")
        # It was read already.
        assert np.array_equal(found.compute(), segmentation.predict(images))
    (tmp_path / "m.safetensors").unlink()
    assert np.array_equal(found.compute(), segmentation.predict(images))


def test_what_is_measured_over_an_image_is_measured_over_the_whole(per_image, segmentation):
    images, _ = discs(2, (60, 70))
    assert predict(da.from_array(images, chunks=(1, 40, 40)), per_image).chunks == ((1, 1), (40, 20), (40, 30))
    check(images, per_image, (1, 40, 40))
    check(images * 7.0, segmentation, (1, 40, 40), rescale="mean", probabilities=True)
    check(images, msd_gpu.Ensemble([segmentation, per_image]), (1, 40, 40), probabilities=True)


def test_fewer_pixels_around_are_another_result(denoiser):
    images, _ = discs(2, (60, 70))
    array, wanted = da.from_array(images, chunks=(1, 30, 30)), denoiser.predict(images)
    assert not np.array_equal(predict(array, denoiser, halo=2).compute(), wanted)
    found = predict(array, denoiser, halo=np.int64(0)).compute()
    assert np.array_equal(found[0, :30, :30], denoiser.predict(images[0, :30, :30]))
    # Those that count are enough.
    assert np.array_equal(predict(array, denoiser, halo=1000).compute(), wanted)
    assert predict(array, denoiser, halo=1000).chunks == array.chunks


def test_nothing_is_computed_and_nothing_warned_of_beforehand(segmentation, regression, caplog):
    def block(info):
        raise AssertionError("it was computed")

    array = da.map_blocks(block, dtype=np.uint16, chunks=((1, 1), (50, 50), (60,)), meta=np.empty((0, 0, 0), np.uint16))
    with caplog.at_level(logging.INFO, "msd_gpu"):
        for model in (segmentation, regression):
            found = predict(array, model)
            assert found.shape[-2:] == (100, 60) and found.shape[0] == 2
    assert not caplog.records


def test_a_model_is_opened_once_for_each_device(segmentation, monkeypatch, tmp_path):
    images, _ = discs(4, (40, 40))
    array, wanted = da.from_array(images, chunks=(1, 20, 20)), segmentation.predict(images)
    with counted_openings(monkeypatch) as devices:
        # The model that is here serves the threads of this process.
        assert np.array_equal(predict(array, segmentation).compute(scheduler="threads", num_workers=4), wanted)
        assert devices == []
        segmentation.save(tmp_path / "m.safetensors")
        for _ in range(2):
            found = pickle.loads(pickle.dumps(predict(array, tmp_path / "m.safetensors", device="cpu")))
            assert np.array_equal(found.compute(scheduler="threads", num_workers=4), wanted)
        assert devices == ["cpu"]
        # A function is asked in the thread that computes.
        asked = []
        found = predict(array, segmentation, device=lambda: asked.append(threading.get_ident()) or "cpu")
        assert np.array_equal(found.compute(scheduler="threads", num_workers=2), wanted)
        assert len(asked) == 4 * 4 and threading.get_ident() not in asked and devices == ["cpu"]


def test_models_that_were_not_used_for_long_are_closed(segmentation, monkeypatch):
    with counted_openings(monkeypatch) as devices:
        for tile in (7, 8, 9, 10, 7, 11, 7):
            parts = segmentation.__reduce__()[1]
            model = msd_gpu.Model._restore(parts[0], "cpu", tile, "")
            sent = pickle.loads(pickle.dumps(msd_gpu.dask._Sent(model, None, {})))
            assert sent.open() is sent.open() and len(msd_gpu.dask._open) <= 4
    assert len(devices) == 5


def test_errors_say_what_to_do(segmentation, regression, colour, tmp_path):
    images, _ = discs(2)
    array = da.from_array(images, chunks=(1, 20, 20))
    unknown = array[array.sum((1, 2)) > 0]
    masked = da.ma.masked_greater(array, 90)
    for kind, parts, arguments, options in [
        (TypeError, ["array is a ndarray", "wanted a dask array", "dask.array.from_array"], (images, segmentation), {}),
        (TypeError, ["model is a dict", "wanted a Model, an Ensemble, or a path"], (array, {}), {}),
        (TypeError, ["device is 3, an int", "wanted a str, or a function"], (array, segmentation), {"device": 3}),
        (TypeError, ["array is an array of complex128", ".astype"], (array.astype(complex), segmentation), {}),
        (TypeError, ["probabilities is 3, an int"], (array, segmentation), {"probabilities": 3}),
        (TypeError, ["halo is 2.5"], (array, segmentation), {"halo": 2.5}),
        (TypeError, ["halo is True"], (array, segmentation), {"halo": True}),
        (TypeError, ["halos"], (array, segmentation), {"halos": 3}),
        (ValueError, ["halo is 'auto'", '"exact"'], (array, segmentation), {"halo": "auto"}),
        (ValueError, ["halo is -1"], (array, segmentation), {"halo": -1}),
        (ValueError, ["probabilities is True for a regression"], (array, regression), {"probabilities": True}),
        (ValueError, ["rescale is 'odd'"], (array, segmentation), {"rescale": "odd"}),
        (ValueError, ["unknown sizes", "compute_chunk_sizes"], (unknown, segmentation), {}),
        (ValueError, ["array is masked", "dask.array.ma.filled"], (masked, segmentation), {}),
        (ValueError, ["array has the shape (24,)"], (array[0, :, 0], segmentation), {}),
        (ValueError, ["array has the shape (1, 1, 2, 24, 30)"], (array[None, None], segmentation), {}),
        (ValueError, ["(0, 24, 30)", "at least one image"], (array[:0], segmentation), {}),
        (ValueError, ["2 channels"], (array, colour), {}),
        (ValueError, ["3 in its last axis", "moveaxis"], (da.zeros((2, 24, 30, 3)), colour), {}),
        (FileNotFoundError, ["none"], (array, tmp_path / "none"), {}),
    ]:
        with pytest.raises(kind) as error:
            predict(*arguments, **options)
        assert all(part in str(error.value) for part in parts), error.value
        assert "\n" not in str(error.value)
    # What only a block shows.
    hidden = array.map_blocks(np.ma.masked_greater, 90, dtype=array.dtype, meta=np.empty((0, 0, 0), array.dtype))
    with pytest.raises(ValueError, match="array is masked"):
        predict(hidden, segmentation).compute()
    with pytest.raises(TypeError, match="the function for device gives 7, an int; wanted a str"):
        predict(array, segmentation, device=lambda: 7).compute()
    with pytest.raises(ValueError, match="no device"):
        predict(array, segmentation, device="none such").compute()


def test_models_that_are_for_files_alone_are_refused_at_once(denoiser):
    # As if it had been trained to make images finer: a word in the header of its file.
    contents = denoiser.__reduce__()[1][0]
    end = 8 + int.from_bytes(contents[:8], "little")
    header = json.loads(contents[8:end])
    header["__metadata__"]["upscaling"] = json.dumps({"factor": 2, "coarsening": None})
    header = json.dumps(header).encode()
    header += b" " * (-len(header) % 8)
    finer = msd_gpu.Model._restore(len(header).to_bytes(8, "little") + header + contents[end:], "cpu", None, "")
    with pytest.raises(ValueError, match="use apply"):
        predict(da.zeros((2, 24, 30)), finer)



def test_networks_of_volumes_are_refused():
    images, labels = discs()
    model = msd_gpu.train(images, labels, task="segment", dimensions=3, max_steps=1, **QUICK)
    with pytest.raises(ValueError, match="a network of volumes"):
        predict(da.from_array(images), model)


def test_processes_of_dask_have_models_of_their_own(segmentation):
    images, _ = discs(4, (60, 60))
    found = predict(da.from_array(images, chunks=(2, 40, 40)), segmentation)
    with dask.config.set({"multiprocessing.context": "spawn"}):
        assert np.array_equal(found.compute(scheduler="processes", num_workers=1), segmentation.predict(images))


@pytest.mark.skipif(not HAS_FORK, reason="this system has no fork")
def test_a_forked_process_says_at_once_what_to_do(segmentation, tmp_path):
    segmentation.save(tmp_path / "m.safetensors")
    program = """
import os, threading, numpy as np, dask.array as da, msd_gpu.dask
found = msd_gpu.dask.predict(da.zeros((2, 30, 30), chunks=(1, 30, 30)), "m.safetensors", device="cpu")
# Another thread opens a model just then.
held, done = threading.Event(), threading.Event()
def hold():
    with msd_gpu.dask._opening:
        held.set()
        done.wait()
thread = threading.Thread(target=hold)
thread.start()
held.wait()
child = os.fork()
if child == 0:
    try:
        found.compute(scheduler="synchronous")
    except RuntimeError as error:
        assert 'get_context("spawn")' in str(error), error
        os._exit(0)
    os._exit(1)
assert os.waitpid(child, 0)[1] == 0
done.set()
thread.join()
print(found.compute().shape)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program],
        capture_output=True, text=True, timeout=120, cwd=tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "(2, 30, 30)\n"), done.stderr


def test_dask_is_imported_only_where_it_is_wanted():
    program = """
import sys
class Refuse:
    def find_spec(self, name, *rest):
        if name.split(".")[0] == "dask":
            raise ModuleNotFoundError(f"No module named {name!r}")
sys.meta_path.insert(0, Refuse())
import msd_gpu
print("dask" in sys.modules)
try:
    import msd_gpu.dask
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    imported, message = done.stdout.splitlines()
    assert imported == "False" and 'pip install "dask[array]"' in message


def test_workers_of_a_cluster_open_the_model_once_each(segmentation, tmp_path):
    distributed = pytest.importorskip("distributed")
    images, _ = discs(8, (60, 70))
    array, wanted = da.from_array(images, chunks=(1, 30, 30)), segmentation.predict(images)
    segmentation.save(tmp_path / "m.safetensors")
    settings = {"distributed.nanny.pre-spawn-environ": {"RAYON_NUM_THREADS": 1}}
    with dask.config.set(settings), distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, local_directory=str(tmp_path)
    ) as cluster, distributed.Client(cluster) as client:
        client.run(count_openings)
        for _ in range(2):
            assert np.array_equal(predict(array, segmentation).compute(), wanted)
        first = client.run(openings)
        assert len({process for process, _, _ in first.values()} - {os.getpid()}) == 2
        assert [(devices, count) for _, devices, count in first.values()] == [(["cpu"], 1)] * 2
        # Another model, from a file that workers need not see, on a device that each chooses.
        found = predict(array, tmp_path / "m.safetensors", device=lambda: ["cpu", "auto"][distributed.get_worker().name % 2])
        assert found.dtype == wanted.dtype and np.array_equal(found.compute(), wanted)
        second = sorted(devices for _, devices, _ in client.run(openings).values())
        assert second in ([["cpu"], ["cpu", "auto"]],), second
        # What goes wrong in a block comes back as it is.
        with pytest.raises(ValueError, match="no device"):
            predict(array, segmentation, device="none such").compute()
