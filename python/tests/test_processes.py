"""Pickling, copies, threads, forks, and Ctrl-C."""

import copy
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import msd_gpu
import numpy as np
import pytest
from conftest import QUICK, discs

HAS_FORK = hasattr(os, "fork")


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, *(lambda m, p=p: pickle.loads(pickle.dumps(m, p)) for p in range(2, 6))])
def test_copies_do_what_the_original_does(segmentation, regression, duplicate):
    images, _ = discs()
    for model in (segmentation, regression):
        twin = duplicate(model)
        assert np.array_equal(twin.predict(images), model.predict(images))
        assert twin.provenance == model.provenance and repr(twin) == repr(model)
        assert np.array_equal([list(e.values()) for e in twin.history], [list(e.values()) for e in model.history], equal_nan=True)
        assert [list(e) for e in twin.history] == [list(e) for e in model.history]
    ensemble = msd_gpu.Ensemble([segmentation, segmentation], tta=True, tile=9)
    twin = duplicate(ensemble)
    assert (len(twin), twin.tta, repr(twin)) == (2, True, repr(ensemble))
    assert np.array_equal(twin.predict(images, probabilities=True), ensemble.predict(images, probabilities=True))


def test_device_and_tile_are_kept_by_a_pickle(segmentation, tmp_path):
    segmentation.save(tmp_path / "m.safetensors")
    model = msd_gpu.Model.load(tmp_path / "m.safetensors", device="cpu", tile=7)
    assert pickle.loads(pickle.dumps(model)).__reduce__()[1][1:3] == ("cpu", 7)
    assert model.__reduce__()[1][1:3] == ("cpu", 7)
    with pytest.raises(ValueError, match="the pickled model"):
        msd_gpu.Model._restore(b"damaged", "cpu", None, "")


def test_threads_share_a_model(segmentation):
    images, _ = discs()
    ensemble = msd_gpu.Ensemble([segmentation], tta=True)
    for model in (segmentation, ensemble):
        wanted = [model.predict(image, probabilities=True) for image in images]
        with ThreadPoolExecutor(8) as pool:
            work = [(i % 4, pool.submit(model.predict, images[i % 4], probabilities=True)) for i in range(64)]
            assert all(np.array_equal(future.result(60), wanted[i]) for i, future in work)


def test_threads_train_at_the_same_time():
    images, labels = discs()

    def train(seed):
        settings = {**QUICK, "seed": seed}
        return msd_gpu.train(images, labels, task="segment", max_steps=20, **settings).predict(images, probabilities=True)

    wanted = [train(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert all(np.array_equal(a, b) for a, b in zip(pool.map(train, range(4)), wanted))


def test_other_threads_go_on_meanwhile(regression):
    image = np.zeros((1200, 1200), np.float32)
    ticks, ended = [], threading.Event()

    def tick():
        while not ended.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    start = time.perf_counter()
    regression.predict(image)
    end = time.perf_counter()
    ended.set()
    thread.join()
    during = [t for t in ticks if start < t < end]
    assert end - start > 0.02 and len(during) >= 3, (end - start, len(during))


# A program of its own each: what one process has used, the tests after it would have used, too.
BEGINNING = """
import multiprocessing, os, signal, sys, threading, time
import numpy as np
import msd_gpu

images = np.random.default_rng(0).integers(0, 255, (4, 24, 30)).astype(np.uint8)
labels = (images > 100).astype(int)
settings = dict(task="segment", device="cpu", depth=3, crop=0)


def train(steps=3, **more):
    return msd_gpu.train(images, labels, max_steps=steps, **settings, **more)
"""


def run(program, timeout=120, folder=None):
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", BEGINNING + program],
        capture_output=True, text=True, timeout=timeout, cwd=folder,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.mark.skipif(not HAS_FORK, reason="this system has no fork")
def test_after_a_fork_the_module_works_where_it_was_not_used_before():
    code, out, error = run("""
child = os.fork()
if child == 0:
    assert train().predict(images).shape == images.shape
    print("done", flush=True)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
with multiprocessing.get_context("fork").Pool(2) as pool:
    model = pool.apply(train, (2,))
# The other processes' use does not count here.
print(model.predict(images).shape == train().predict(images).shape)
""")
    assert (code, out) == (0, "done\nTrue\n"), error


@pytest.mark.skipif(not HAS_FORK, reason="this system has no fork")
def test_after_a_fork_of_a_process_that_used_it_everything_says_at_once_what_to_do(tmp_path):
    program = """
import pickle
model = train()
model.predict(images)
ensemble, pickled = msd_gpu.Ensemble([model]), pickle.dumps(model)
child = os.fork()
if child == 0:
    tasks = [
        lambda: model.predict(images), lambda: model.evaluate(images, labels), lambda: train(),
        lambda: ensemble.predict(images), lambda: ensemble.uncertainty(images), lambda: msd_gpu.devices(),
        lambda: msd_gpu.evaluate([model], images, labels), lambda: pickle.loads(pickled),
        lambda: msd_gpu.Ensemble([model]), lambda: msd_gpu.Model.load("nothing"),
        lambda: model.apply("nothing", "nowhere"), lambda: ensemble.apply("nothing", "nowhere"),
    ]
    for task in tasks:
        start = time.perf_counter()
        try:
            task()
        except RuntimeError as error:
            assert 'get_context("spawn")' in str(error), error
            assert time.perf_counter() - start < 5
            print("refused", flush=True)
    # What needs no device works, and what goes away frees nothing that is the other process's.
    assert model.task == "segment" and model.history
    model.save("saved.safetensors")
    del model, ensemble, tasks, task
    import gc
    gc.collect()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
model.predict(images)
"""
    code, out, error = run(program, folder=tmp_path)
    assert (code, out) == (0, "refused\n" * 12), error
    assert msd_gpu.Model.load(tmp_path / "saved.safetensors", device="cpu").task == "segment"


def test_processes_that_are_spawned_take_pickled_models(segmentation):
    images, _ = discs()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        for model in (segmentation, msd_gpu.Ensemble([segmentation], tta=True)):
            found = pool.apply_async(model.predict, (images,)).get(120)
            assert np.array_equal(found, model.predict(images))


def interrupted(program, folder):
    """Sends Ctrl-C to a program when it says so; gives what it printed after that."""
    process = subprocess.Popen(
        [sys.executable, "-c", BEGINNING + program],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder,
    )  # fmt: skip
    try:
        assert process.stdout.readline() == "now\n"
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, out, error


def test_ctrl_c_ends_a_run_and_gives_the_best_model(tmp_path):
    code, out, error = interrupted("""
say = lambda step, *rest: print("now", flush=True) if step == 20 else None
try:
    train(10_000_000, out="run", progress=say, val_fraction=0.25)
except KeyboardInterrupt as stopped:
    assert type(stopped) is msd_gpu.TrainingInterrupted
    assert "the best model so far" in str(stopped) and "in run" in str(stopped), stopped
    model = stopped.model
saved = msd_gpu.Model.load("run", device="cpu")
assert np.array_equal(model.predict(images), saved.predict(images))
assert len(model.history) == len(saved.history) > 1
assert sorted(os.listdir("run"))[:2] == ["checkpoint.safetensors", "config.toml"]
# The process is as good as new.
train()
print("done")
""", tmp_path)
    assert (code, out) == (0, "done\n"), error


def test_ctrl_c_without_a_folder_gives_the_best_model_too(tmp_path):
    code, out, error = interrupted("""
import logging
logging.basicConfig(level=logging.INFO, filename="log")
say = lambda step, *rest: print("now", flush=True) if step == 20 else None
try:
    train(10_000_000, progress=say)
except msd_gpu.TrainingInterrupted as stopped:
    assert stopped.model.predict(images).shape == images.shape
    print("done")
""", tmp_path)
    assert (code, out) == (0, "done\n"), error


def test_ctrl_c_that_nobody_catches_ends_the_program(tmp_path):
    code, out, error = interrupted("""
say = lambda step, *rest: print("now", flush=True) if step == 20 else None
train(10_000_000, progress=say)
""", tmp_path)
    assert code != 0 and out == "" and "TrainingInterrupted: training was interrupted after" in error


def test_ctrl_c_is_heard_between_images_and_tiles(tmp_path):
    for call in (
        "model.predict(big)", "ensemble.predict(big)", "model.evaluate(big, big > 0)",
        "model.predict(Like())", "model.apply('big.npy', 'out.npy')",
    ):  # fmt: skip
        code, out, error = interrupted(f"""
train().save("m.safetensors")
model = msd_gpu.Model.load("m.safetensors", device="cpu", tile=16)
ensemble = msd_gpu.Ensemble([model])
big = np.random.default_rng(0).random((400, 300, 300), np.float32)
np.save("big.npy", big)
class Like:
    shape, dtype = big.shape, big.dtype
    __getitem__ = big.__getitem__
print("now", flush=True)
start = time.perf_counter()
try:
    {call}
except KeyboardInterrupt:
    print("done", time.perf_counter() - start < 20)
assert not os.path.exists("out.npy")
# A lock that was held is free again.
model.predict(images)
""", tmp_path)
        assert (code, out) == (0, "done True\n"), (call, out, error)


def test_what_a_signal_handler_raises_comes_through():
    code, out, error = run("""
class Enough(Exception): pass
def handler(*_): raise Enough()
signal.signal(signal.SIGINT, handler)
try:
    train(10_000_000, progress=lambda step, *rest: os.kill(os.getpid(), signal.SIGINT) if step == 5 else None)
except Enough:
    print("done")
""")
    assert (code, out) == (0, "done\n"), error


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit the address space")
def test_too_little_memory_is_a_memory_error():
    code, out, error = run("""
import resource
train()
taken = int(open("/proc/self/statm").read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
resource.setrlimit(resource.RLIMIT_AS, (taken + (1 << 30),) * 2)
large = np.zeros((1, 1000, 1000), np.uint8)
large[:, 500:] = 1
for attempt in (
    # Planes, which the library counts beforehand; an array; and its copy.
    lambda: msd_gpu.train(large, large, **{**settings, "depth": 100, "width": 10}, max_steps=1),
    lambda: train().predict(np.broadcast_to(np.uint8(1), (30_000, 30_000))),
    lambda: train().predict(np.broadcast_to(np.uint8(1), (12_500, 12_500))),
):
    try:
        attempt()
    except MemoryError as error:
        print("refused", str(error) != "")
train()
""")
    assert (code, out) == (0, "refused True\n" * 3), (out, error)
