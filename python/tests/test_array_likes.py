"""Arrays that are not in memory: read and written slice by slice, or tile by tile."""

import subprocess
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import msd_gpu
import numpy as np
import pytest
from conftest import discs

h5py = pytest.importorskip("h5py")
zarr = pytest.importorskip("zarr")
da = pytest.importorskip("dask.array")


class Slow:
    """An array with a shape, a dtype and slicing and nothing else, which keeps count of what is asked of it."""

    def __init__(self, array, most=None, broken=None):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.asked, self.broken, self.most = [], broken, most

    def __getitem__(self, key):
        if self.broken is not None:
            return self.broken(self, key)
        piece = np.array(self.array[key])
        self.asked.append(key)
        assert self.most is None or piece.size <= self.most, (key, piece.shape)
        return piece


class Sink:
    """What can be written into and says its shape and dtype."""

    def __init__(self, shape, dtype):
        self.array = np.full(shape, 77, dtype)
        self.shape, self.dtype, self.written = self.array.shape, self.array.dtype, []

    def __getitem__(self, key):
        raise AssertionError("results are not read")

    def __setitem__(self, key, value):
        self.written.append(np.size(value))
        self.array[key] = value


def memmap(array, tmp_path):
    mapped = np.memmap(tmp_path / "mapped", array.dtype, "w+", shape=array.shape)
    mapped[...] = array
    return mapped


def h5(array, tmp_path, **options):
    return h5py.File(tmp_path / "file.h5", "w").create_dataset("data", data=array, **options)


def zarr_of(array, tmp_path, **options):
    found = zarr.create_array(tmp_path / "file.zarr", shape=array.shape, dtype=array.dtype, **options)
    found[...] = array
    return found


def thirds(array):
    """Chunks of two slices and thirds of rows and columns."""
    return (2, *(-(-length // 3) for length in array.shape[1:])) if array.ndim > 2 else (7, 9)


KINDS = {
    "memory map": memmap,
    "h5py": h5,
    "h5py in chunks": lambda a, p: h5(a, p, chunks=thirds(a), compression="gzip"),
    "zarr 3": lambda a, p: zarr_of(a, p, chunks=thirds(a), zarr_format=3),
    "zarr 2": lambda a, p: zarr_of(a, p, chunks=thirds(a), zarr_format=2),
    "dask": lambda a, p: da.from_array(a, chunks=thirds(a)),
    "dask, uneven": lambda a, p: da.from_array(a, chunks=((1, len(a) - 1), *((length,) for length in a.shape[1:]))),
    "shape, dtype and slicing": lambda a, p: Slow(a),
}


@pytest.mark.parametrize("kind", KINDS)
def test_array_likes_give_what_numpy_arrays_give(kind, segmentation, regression, denoiser, colour, tmp_path):
    images, _ = discs(4)
    colours = np.stack([images, 255 - images, images // 2], 1)
    for model, arrays in [
        (segmentation, [images[0], images, images[:, None], images.astype(">u2"), images / 7]),
        (regression, [images[0], images]),
        (denoiser, [images[0], images, images[:, None]]),
        (colour, [colours[0], colours]),
    ]:
        for number, array in enumerate(arrays):
            folder = tmp_path / f"{id(model)}-{number}"
            folder.mkdir()
            given = KINDS[kind](array, folder)
            assert given.shape == array.shape
            wanted = model.predict(array)
            found = model.predict(given)
            assert type(found) is np.ndarray and found.dtype == wanted.dtype
            assert np.array_equal(found, wanted)
            if model.task == "segment":
                assert np.array_equal(
                    model.predict(given, probabilities=True, rescale="mean"),
                    model.predict(array, probabilities=True, rescale="mean"),
                )
    ensemble = msd_gpu.Ensemble([segmentation], tta=True)
    (tmp_path / "ensemble").mkdir()
    given = KINDS[kind](images, tmp_path / "ensemble")
    wanted, found = ensemble.uncertainty(images), ensemble.uncertainty(given)
    assert all(np.array_equal(found[name], wanted[name]) for name in wanted) and len(found) == 3


OUTS = {
    "numpy": lambda shape, dtype, p: np.empty(shape, dtype),
    "numpy, columns first": lambda shape, dtype, p: np.empty(shape, dtype, order="F"),
    "memory map": lambda shape, dtype, p: np.memmap(p / "out", dtype, "w+", shape=shape),
    "h5py": lambda shape, dtype, p: h5py.File(p / "out.h5", "w").create_dataset("data", shape, dtype),
    "h5py in chunks": lambda shape, dtype, p: h5py.File(p / "out.h5", "w").create_dataset(
        "data", shape, dtype, chunks=thirds(np.empty(shape, "?"))
    ),
    "zarr 3": lambda shape, dtype, p: zarr.create_array(p / "out.zarr", shape=shape, dtype=dtype, chunks=thirds(np.empty(shape, "?"))),
    "zarr 3 in shards": lambda shape, dtype, p: zarr.create_array(
        p / "out.zarr", shape=shape, dtype=dtype, chunks=(1, *shape[1:]), shards=(3, *shape[1:])
    ),
    "zarr 2": lambda shape, dtype, p: zarr.create_array(p / "out.zarr", shape=shape, dtype=dtype, chunks=thirds(np.empty(shape, "?")), zarr_format=2),
    "shape, dtype and slicing": lambda shape, dtype, p: Sink(shape, dtype),
}  # fmt: skip


@pytest.mark.parametrize("kind", OUTS)
def test_out_is_filled_with_the_result_and_given_back(kind, segmentation, regression, denoiser, tmp_path):
    images, _ = discs(5)
    for number, (model, array, options) in enumerate([
        (segmentation, images, {}),
        (segmentation, images, {"probabilities": True}),
        (segmentation, images[0], {}),
        (regression, images, {}),
        (denoiser, images, {}),
        (denoiser, images[:, None], {}),
    ]):
        wanted = model.predict(array, **options)
        for given in (array, da.from_array(array, chunks=2), Slow(array)):
            for dtype in (wanted.dtype, np.dtype(">f8")):
                folder = tmp_path / f"{number} {type(given).__name__} {dtype.itemsize}"
                folder.mkdir()
                out = OUTS[kind](wanted.shape, dtype, folder)
                assert model.predict(given, out=out, **options) is out
                found = out.array if isinstance(out, Sink) else out[...]
                assert found.dtype == dtype and np.array_equal(found, wanted)


def test_a_stack_may_be_written_over_slice_by_slice(denoiser, tmp_path):
    images, _ = discs(5)
    wanted = denoiser.predict(images)
    for make in (lambda a, p: a.copy(), memmap, KINDS["h5py in chunks"], KINDS["zarr 3"]):
        array = make(images.astype(np.float32), tmp_path)
        assert np.array_equal(denoiser.predict(array, out=array)[...], wanted)
        if hasattr(array, "file"):
            array.file.close()


def test_results_are_not_written_over_what_is_still_to_be_read(denoiser):
    images, _ = discs(5)
    wanted = denoiser.predict(images)
    both = np.zeros((6, 2, 24, 30), np.float32)
    both[:5, 0] = images
    # Beside what is read there is room, but not one slice further on.
    assert np.array_equal(denoiser.predict(both[:5, 0], out=both[:5, 1]), wanted)
    for out in (both[1:, 0], both[4::-1, 0]):
        with pytest.raises(ValueError, match="out is a part of the array that is read"):
            denoiser.predict(both[:5, 0], out=out)
    assert np.array_equal(denoiser.predict(both[:5, 0], out=both[:5, 0]), wanted)


def test_slices_that_lie_together_are_read_and_written_together(segmentation):
    images, _ = discs(7)
    source = Slow(images)
    source.chunks = (3, 24, 30)
    out = Sink(images.shape, "u1")
    out.chunks = (2, 8, 8)
    segmentation.predict(source, out=out)
    assert source.asked == [slice(0, 3, 1), slice(3, 6, 1), 6]
    assert out.written == [2 * 720] * 3 + [720]
    assert np.array_equal(out.array, segmentation.predict(images))
    # A shard is what is written as a whole.
    out.shards, out.written = (4, 24, 30), []
    segmentation.predict(source, out=out)
    assert out.written == [4 * 720, 3 * 720]
    # Attributes of other meanings are passed over.
    for strange in (None, 0, "all", (0, 1), (), (None, 4), ((),), -3, {"z": 3}):
        source.chunks = out.shards = out.chunks = strange
        assert np.array_equal(segmentation.predict(source, out=out).array, segmentation.predict(images))


@pytest.fixture
def tiled(segmentation, tmp_path):
    """The model as it is opened for tiles of 9 pixels."""
    segmentation.save(tmp_path / "m.safetensors")
    return msd_gpu.Model.load(tmp_path / "m.safetensors", device="cpu", tile=9)


def test_slices_in_tiles_are_read_and_written_in_tiles(tiled, segmentation, tmp_path):
    images, _ = discs(2, (50, 70))
    side = 9 + 2 * tiled.halo
    assert side < 40
    for array in (images, images[0], images[:, None]):
        for probabilities in (False, True):
            wanted = segmentation.predict(array, probabilities=probabilities)
            source, out = Slow(array, most=side**2), Sink(wanted.shape, wanted.dtype)
            assert tiled.predict(source, probabilities=probabilities, out=out) is out
            assert np.array_equal(out.array, wanted)
            assert max(out.written) <= (2 if probabilities else 1) * 9**2
            assert len(source.asked) == len(out.written) == 6 * 8 * (1 if array.ndim == 2 else 2)
    assert np.array_equal(tiled.predict(memmap(images, tmp_path)), segmentation.predict(images))
    ensemble = msd_gpu.Ensemble([tiled], tta=True)
    found, wanted = ensemble.uncertainty(Slow(images, most=side**2)), ensemble.uncertainty(images)
    assert all(np.allclose(found[name], wanted[name], atol=1e-5) for name in wanted)
    # Tiles are read with what is around them, so results must not lie there already.
    mapped = memmap(images, tmp_path)
    for array, out in [(mapped, mapped), (mapped, mapped[:])]:
        with pytest.raises(ValueError, match="out is the array that is read"):
            tiled.predict(array, out=out)
    assert np.array_equal(mapped, images)
    with pytest.raises(ValueError, match=r"array\[0\] has 3 channels that differ|the image has 3 channels that differ"):
        tiled.predict(Slow(np.stack([images, 255 - images, images], 1)))
    assert np.array_equal(tiled.predict(Slow(np.stack([images] * 3, 1))), segmentation.predict(images))


def test_what_is_measured_over_an_image_is_measured_over_all_of_it_in_tiles(tmp_path):
    images, labels = discs(3, (40, 50))
    images = images + np.arange(50, dtype=np.uint8)
    model = msd_gpu.train(images, labels, task="segment", max_steps=3, device="cpu", depth=3, crop=0, normalise_per_image=True)
    model.save(tmp_path / "m.safetensors")
    tiled = msd_gpu.Model.load(tmp_path / "m.safetensors", device="cpu", tile=16)
    for options in ({"probabilities": True}, {}):
        found, wanted = tiled.predict(Slow(images), **options), model.predict(images, **options)
        assert np.allclose(found, wanted, atol=1e-5)


def test_memory_is_flat(segmentation):
    """However long the stack, no more than a few slices are alive."""

    class Piece(np.ndarray):
        alive, most = 0, 0

        def __array_finalize__(self, other):
            pass

    class Endless(Slow):
        """Slices that are counted as long as they live."""

        def __getitem__(self, key):
            piece = np.zeros(self.shape[1:], np.uint8).view(Piece)
            Piece.alive += 1
            Piece.most = max(Piece.most, Piece.alive)

            def gone():
                Piece.alive -= 1

            weakref.finalize(piece, gone)
            return piece

    class Nowhere(Sink):
        def __init__(self, shape, dtype):
            self.shape, self.dtype, self.written = shape, np.dtype(dtype), []

        def __setitem__(self, key, value):
            self.written.append(value.size)

    count, side = 300, 64
    shape = (count, side, side)
    source, out = Endless(np.broadcast_to(np.uint8(0), shape)), Nowhere(shape, np.uint8)
    assert segmentation.predict(source, out=out) is out
    assert out.written == [side * side] * count
    assert Piece.alive == 0 and 1 <= Piece.most <= 2


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read as Linux tells it")
def test_a_stack_larger_than_the_memory_limit_goes_through(segmentation, tmp_path):
    segmentation.save(tmp_path / "m.safetensors")
    program = """
import resource, sys
import msd_gpu, numpy as np

class Large:
    shape, dtype, most = (2000, 1024, 1024), np.dtype("u2"), 0
    def __getitem__(self, key):
        if self.written == 25:
            raise EOFError
        return np.full((1024, 1024), key, "u2")
    def __setitem__(self, key, value):
        assert value.shape == (1024, 1024) and value.dtype == np.uint16
        self.written += 1
    written = 0

model = msd_gpu.Model.load(sys.argv[1], device="cpu")
model.predict(np.zeros((1024, 1024)))
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
# The stack is 4 GB.
resource.setrlimit(resource.RLIMIT_AS, (taken + (1 << 30),) * 2)
large = Large()
try:
    model.predict(large, out=large)
except EOFError:
    pass
print(large.written, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024 < 100)
"""
    done = subprocess.run([sys.executable, "-c", program, tmp_path / "m.safetensors"], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "25 True\n"), done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit the address space")
def test_a_slice_that_the_memory_does_not_hold_is_computed_in_tiles(segmentation, tmp_path):
    segmentation.save(tmp_path / "m.safetensors")
    program = """
import resource, sys
import msd_gpu, numpy as np

side = 4000
shape, dtype = (side, side), np.dtype("u1")

class Large:
    shape, dtype, most = shape, dtype, 0
    def __getitem__(self, key):
        rows, columns = (range(side)[part] for part in key)
        self.most = max(self.most, len(rows) * len(columns))
        return np.add.outer(np.arange(rows.start, rows.stop), np.arange(columns.start, columns.stop)).astype("u1")

model = msd_gpu.Model.load(sys.argv[1], device="cpu")
model.predict(np.zeros((64, 64)))
large = Large()
out = np.empty(shape, "u1")
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
before = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (taken + (300 << 20), before[1]))
model.predict(large, out=out)
resource.setrlimit(resource.RLIMIT_AS, before)
print(large.most < side * side, np.array_equal(out, model.predict(large[:side, :side])))
"""
    done = subprocess.run([sys.executable, "-c", program, tmp_path / "m.safetensors"], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "True True\n"), done.stderr


def test_blocks_with_a_halo_give_what_the_whole_gives(segmentation, denoiser, regression):
    images, _ = discs(3, (90, 100))
    # The filters in front of the layers reach 4 pixels.
    for model, filters in ((segmentation, 4), (denoiser, 0)):
        assert model.halo == filters + 1 + 2 + 3
        for block in (40, 33, 7):
            array = da.from_array(images, chunks=(2, block, block))
            around = {0: 0, 1: model.halo, 2: model.halo}
            found = da.map_overlap(model.predict, array, depth=around, boundary="none", dtype=model.predict(images).dtype)
            assert np.array_equal(found.compute(), model.predict(images))
    # Too little around them is another result.
    array = da.from_array(images, chunks=(1, 30, 30))
    found = da.map_overlap(denoiser.predict, array, depth={0: 0, 1: 2, 2: 2}, boundary="none", dtype=np.float32)
    assert not np.array_equal(found.compute(), denoiser.predict(images))
    ensemble = msd_gpu.Ensemble([segmentation, segmentation], tta=True)
    assert ensemble.halo == 10
    array = da.from_array(images[0], chunks=(45, 50))
    found = da.map_overlap(ensemble.predict, array, depth=ensemble.halo, boundary="none", dtype=np.uint8)
    assert np.array_equal(found.compute(), ensemble.predict(images[0]))


def test_an_array_that_the_same_model_computes_is_no_deadlock(denoiser):
    images, _ = discs(4)
    wanted = denoiser.predict(denoiser.predict(images))
    once = da.from_array(images, chunks=(1, 24, 30)).map_blocks(denoiser.predict, dtype=np.float32)
    with ThreadPoolExecutor(1) as pool:
        assert np.array_equal(pool.submit(denoiser.predict, once).result(60), wanted)


def test_threads_apply_a_model_to_array_likes_at_the_same_time(segmentation, tiled, tmp_path):
    images, _ = discs(6)
    dataset = h5(images, tmp_path, chunks=(2, 24, 30))
    for model in (segmentation, tiled):
        wanted = model.predict(images)
        with ThreadPoolExecutor(4) as pool:
            sources = [dataset, Slow(images), da.from_array(images, chunks=2), images] * 2
            outs = [np.empty(images.shape, np.uint8) for _ in sources]
            work = [pool.submit(model.predict, source, out=out) for source, out in zip(sources, outs)]
            assert all(future.result(60) is out for future, out in zip(work, outs))
        assert all(np.array_equal(out, wanted) for out in outs)


def test_other_threads_go_on_while_slices_are_computed(regression):
    ended, ticks = threading.Event(), []

    def tick():
        while not ended.wait(0.001):
            ticks.append(1)

    thread = threading.Thread(target=tick)
    thread.start()
    regression.predict(Slow(np.zeros((3, 900, 900), np.uint8)))
    ended.set()
    thread.join()
    assert len(ticks) > 3


def returns(value):
    """Gives what is asked of `value`, a whole array, or what it gives for an array and a key."""
    return lambda array, key: value(array, key) if callable(value) else value[key]


FULL = (3, 24, 30)


def raises(error):
    def act(array, key):
        raise error

    return act


class Own(Exception):
    pass


@pytest.mark.parametrize(
    "broken, kind, text",
    [
        (raises(Own("of the array")), Own, "of the array"),
        (raises(OSError(5, "the disk")), OSError, "the disk"),
        (raises(IndexError("none")), IndexError, "none"),
        (raises(StopIteration()), StopIteration, None),
        (returns(lambda a, k: a.array), ValueError, r"array\[0\] came in the shape \(3, 24, 30\) where \(24, 30\) was asked for"),
        (returns(lambda a, k: a.array[k][1:]), ValueError, r"array\[0\] came in the shape \(23, 30\)"),
        (returns(lambda a, k: np.float32(3)), ValueError, r"array\[0\] came in the shape \(\)"),
        (returns(np.zeros(FULL, complex)), TypeError, r"array\[0\] is an array of complex128"),
        (returns(np.full(FULL, None)), TypeError, r"array\[0\] is an array of object"),
        (returns(lambda a, k: [[1.0]]), TypeError, r"array\[0\] is a list"),
        (returns(lambda a, k: None), TypeError, r"array\[0\] is a NoneType"),
        (returns(np.full(FULL, np.nan)), ValueError, r"array\[0\] has \d+ numbers that are NaN"),
        (returns(np.ma.masked_less(np.zeros(FULL), 1)), ValueError, r"array\[0\] has masked pixels"),
    ],
)
def test_arrays_that_do_not_give_what_is_asked_are_told(segmentation, tiled, broken, kind, text):
    images, _ = discs(3)
    for model in (segmentation, tiled):
        if model is tiled and "shape" in (text or ""):
            text = "came in the shape"
        out = Sink(images.shape, "u1")
        with pytest.raises(kind, match=text):
            model.predict(Slow(images, broken=broken), out=out)
        assert not out.written
    # The model is as good as new.
    assert np.array_equal(tiled.predict(images), segmentation.predict(images))


def test_an_error_in_the_middle_leaves_what_was_done_before(segmentation):
    images, _ = discs(4)

    def third(array, key):
        if key == 2:
            raise Own("slice 2")
        return array.array[key]

    out = Sink(images.shape, "u1")
    with pytest.raises(Own):
        segmentation.predict(Slow(images, broken=third), out=out)
    assert np.array_equal(out.array[:2], segmentation.predict(images[:2])) and (out.array[2:] == 77).all()

    class Full(Sink):
        def __setitem__(self, key, value):
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        segmentation.predict(images, out=Full(images.shape, "u1"))


def test_types_and_shapes_of_array_likes_are_refused_before_anything_is_read(segmentation, colour):
    def untouched(array, key):
        raise AssertionError("it was read")

    def like(shape, dtype="u1"):
        return Slow(np.broadcast_to(np.zeros((), dtype), shape), broken=untouched)

    for dtype, named in [("c8", "complex64"), ("O", "object"), ("M8[s]", "datetime64"), ("S3", "S3"), ([("a", "f4")], "a")]:
        with pytest.raises(TypeError, match=f"array is an array of .*{named}"):
            segmentation.predict(like((2, 4, 5), dtype))
    for shape in ((), (4,), (0, 4, 4), (0, 1, 4, 4), (1, 1, 1, 4, 4)):
        with pytest.raises(ValueError, match="array has the shape"):
            segmentation.predict(like(shape))
    with pytest.raises(ValueError, match="channels come before rows"):
        colour.predict(like((24, 30, 3)))
    with pytest.raises(ValueError, match="0 pixels"):
        segmentation.predict(Slow(np.zeros((1, 0, 4))))
    # What only looks like an array is what it was before.
    with pytest.raises(TypeError, match="array is an array of object"):
        segmentation.predict(np.ndarray)
    for shape, dtype in [("(4, 5)", "f4"), ((4, -5), "f4"), (None, "f4"), ((4, 5), None), ((4, 5), "number")]:
        odd = Slow(np.zeros((4, 5)))
        odd.shape, odd.dtype = shape, dtype
        with pytest.raises(TypeError, match="array is a Slow, not a NumPy array"):
            segmentation.predict(odd)


def test_outs_that_cannot_hold_the_result_are_refused_before_anything_is_read(segmentation, denoiser, tmp_path):
    images, _ = discs(3)

    def refused(kind, text, out, model=segmentation, array=None, **options):
        def untouched(array, key):
            raise AssertionError("it was read")

        array = Slow(images, broken=untouched) if array is None else array
        with pytest.raises(kind, match=text):
            model.predict(array, out=out, **options)

    for shape in ((3, 24), (2, 24, 30), (3, 1, 24, 30), (24, 30), (3, 30, 24)):
        refused(ValueError, r"out has the shape .*; wanted \(3, 24, 30\), that of the result", np.empty(shape, "u1"))
    refused(ValueError, r"wanted \(3, 2, 24, 30\)", np.empty((3, 24, 30), "f4"), probabilities=True)
    for dtype in ("i1", "?", "c8", "O", "M8[s]", "S3"):
        refused(TypeError, "out is an array of .*; wanted uint8, or a type that holds", np.empty((3, 24, 30), dtype))
    for dtype in ("i8", "f2", "u1"):
        refused(TypeError, "out is an array of .*; wanted float32", np.empty((3, 24, 30), dtype), denoiser)
    refused(TypeError, r"out is a list; wanted an array \(3, 24, 30\) of uint8", [[0]])
    refused(TypeError, "out is an int", 3)
    refused(TypeError, "out is a Slow", Slow(images))
    fixed = np.empty((3, 24, 30), "u1")
    fixed.flags.writeable = False
    refused(ValueError, "out cannot be written to", fixed)
    masked = np.ma.masked_less(images, 50)
    refused(ValueError, "out cannot hold which pixels", np.empty((3, 24, 30), "u1"), array=masked)
    with pytest.raises(TypeError, match="the nearest is 'out'"):
        segmentation.predict(images, outt=None)
    # A file that is open for reading alone says so itself.
    dataset = h5(np.zeros((3, 24, 30), "u1"), tmp_path)
    dataset.file.close()
    with h5py.File(tmp_path / "file.h5") as file, pytest.raises((OSError, ValueError, KeyError, RuntimeError)):
        segmentation.predict(images, out=file["data"])


def test_masks_go_into_masked_outs(segmentation):
    images, _ = discs(3)
    masked = np.ma.array(images, mask=images < 30)
    for probabilities in (False, True):
        wanted = segmentation.predict(masked, probabilities=probabilities)
        out = np.ma.zeros(wanted.shape, wanted.dtype)
        assert segmentation.predict(masked, out=out, probabilities=probabilities) is out
        assert np.array_equal(out.mask, wanted.mask)
        assert np.array_equal(out[~wanted.mask], wanted[~wanted.mask])
