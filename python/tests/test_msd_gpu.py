"""The module as people use it. Networks are small: what they compute is checked elsewhere, here it is the way in and out."""

import _thread
import logging
import os
import threading
import time

import msd_gpu
import numpy as np
import pytest

QUICK = {"device": "cpu", "depth": 3, "crop": 0, "lr": 0.01, "seed": 3}


def discs(count=4, size=(24, 30)):
    """Bright discs in noise, and where they are: 7 in 2."""
    random = np.random.default_rng(1)
    y, x = np.mgrid[: size[0], : size[1]]
    inside = np.stack([np.hypot(y - 8 - i, x - 10 - 2 * i) < 6 for i in range(count)])
    images = 100 + 60 * inside + random.normal(0, 10, inside.shape)
    return images.astype(np.uint8), np.where(inside, 7, 2)


@pytest.fixture(scope="module")
def segmentation():
    images, labels = discs()
    return msd_gpu.train(images, labels, task="segment", max_steps=150, val_fraction=0.25, **QUICK)


@pytest.fixture(scope="module")
def regression():
    images, _ = discs()
    pairs = np.stack([images, 255 - images], 1)
    return msd_gpu.train(images, 1000 + 2.0 * pairs, task="regress", max_steps=100, **QUICK)


def test_a_segmentation_is_learnt_from_arrays_and_gives_the_labels_own_values(segmentation):
    images, labels = discs(6)
    found = segmentation.predict(images[5])
    assert found.dtype == np.uint8 and found.shape == labels[5].shape
    assert np.mean(found == labels[5]) > 0.95
    assert (segmentation.task, segmentation.inputs, segmentation.outputs) == ("segment", 1, 2)
    assert segmentation.classes == [(2, "2"), (7, "7")]
    assert segmentation.provenance["images"] == "arrays in memory"
    assert "CPU" in segmentation.device and "segment" in repr(segmentation)


def test_shapes_and_types_in_and_out(segmentation, regression):
    images, _ = discs(3)
    image = images[0]
    one = segmentation.predict(image)
    for same in (image[None], image.astype(np.uint16), image.astype(np.float32), image.astype(np.float64)):
        assert np.array_equal(segmentation.predict(same), one)
    # Any strides, too.
    assert np.array_equal(segmentation.predict(np.asfortranarray(image)), one)
    assert np.array_equal(segmentation.predict(np.repeat(image, 2, axis=1)[:, ::2]), one)
    stack = segmentation.predict(images[:, None])
    assert stack.shape == (3, 24, 30) and np.array_equal(stack[0], one)

    p = segmentation.predict(images[:, None], probabilities=True)
    assert p.dtype == np.float32 and p.shape == (3, 2, 24, 30)
    assert np.allclose(p.sum(1), 1, atol=1e-5)
    assert np.array_equal(np.array([2, 7])[p[0].argmax(0)], one)
    assert segmentation.predict(image, probabilities=True).shape == (2, 24, 30)

    values = regression.predict(image)
    assert values.dtype == np.float32 and values.shape == (2, 24, 30)
    wanted = 1000 + 2.0 * np.stack([image, 255 - image])
    assert np.abs(values - wanted).mean() < 0.2 * wanted.std()
    assert regression.predict(images[:, None]).shape == (3, 2, 24, 30)
    assert regression.classes == []


def test_one_channel_without_an_axis_comes_back_without_one():
    images, _ = discs()
    model = msd_gpu.train(list(images), list(images), task="regress", max_steps=2, **QUICK)
    assert model.predict(images[0]).shape == (24, 30)
    assert model.predict(images[:1]).shape == (1, 24, 30)


def test_labels_have_the_smallest_type_that_holds_them():
    images, labels = discs()
    for high, kind in ((300, np.uint16), (70_000, np.int64)):
        model = msd_gpu.train(images, np.where(labels == 7, high, 0), task="segment", max_steps=1, **QUICK)
        assert model.predict(images[0]).dtype == kind


def test_models_are_saved_loaded_and_tiled(segmentation, tmp_path):
    images, _ = discs()
    segmentation.save(tmp_path / "model.safetensors")
    model = msd_gpu.Model.load(str(tmp_path / "model.safetensors"), device="cpu", tile=9)
    assert np.array_equal(model.predict(images[0]), segmentation.predict(images[0]))
    assert model.provenance == segmentation.provenance


def test_what_cannot_be_used_is_said_in_one_sentence(segmentation, regression, tmp_path):
    images, labels = discs()

    def refuses(kind, parts, act, *arguments, **settings):
        with pytest.raises(kind) as error:
            act(*arguments, **settings)
        text = str(error.value)
        assert "\n" not in text and all(part in text for part in parts), text

    (tmp_path / "text").write_text("no model")
    refuses(ValueError, ["nothing", "run folder"], msd_gpu.Model.load, "nothing")
    refuses(ValueError, ["text", "model file"], msd_gpu.Model.load, tmp_path / "text")
    segmentation.save(tmp_path / "m.safetensors")
    refuses(ValueError, ["no such device", "CPU"], msd_gpu.Model.load, tmp_path / "m.safetensors", device="no such device")
    refuses(ValueError, ["cannot write"], segmentation.save, tmp_path / "missing" / "m.safetensors")

    refuses(TypeError, ["a list, not a NumPy array"], segmentation.predict, [[1.0]])
    refuses(TypeError, ["complex128", "float32"], segmentation.predict, np.zeros((4, 4), complex))
    refuses(ValueError, ["(4,)", "(y, x)"], segmentation.predict, np.zeros(4))
    refuses(ValueError, ["(0, 1, 4, 4)"], segmentation.predict, np.zeros((0, 1, 4, 4)))
    refuses(ValueError, ["3 channels", "images of 1"], segmentation.predict, np.zeros((3, 4, 4)))
    refuses(ValueError, ["0 pixels"], segmentation.predict, np.zeros((1, 0, 4)))
    refuses(ValueError, ["16 numbers", "NaN"], segmentation.predict, np.full((4, 4), np.nan))
    refuses(ValueError, ["probabilities", "regression"], regression.predict, images[0], probabilities=True)

    def train(*arguments, **settings):
        return msd_gpu.train(*arguments, **{"task": "segment", "max_steps": 1, **QUICK, **settings})

    refuses(ValueError, ["deepth", "config.toml"], train, images, labels, deepth=3)
    refuses(ValueError, ["'detph'", "'depth'"], train, images, labels, detph=3)
    refuses(ValueError, ["'noise'", "'augmentation'"], train, images, labels, noise=0.1)
    refuses(ValueError, ["'noize'", "'noise'"], train, images, labels, augmentation={"noize": 0.1})
    refuses(ValueError, ["depth", "3"], train, images, labels, depth="3")
    refuses(ValueError, ["guess", "segment"], train, images, labels, task="guess")
    refuses(ValueError, ["lr", "-1"], train, images, labels, lr=-1)
    refuses(ValueError, ["folds"], train, images, labels, folds=3)
    refuses(ValueError, ["4 images", "3 targets"], train, images, labels[:3])
    refuses(ValueError, ["4 images", "2 weights"], train, images, labels, weights=np.ones((2, 24, 30)))
    refuses(ValueError, ["image 0", "target 29 x 24"], train, images, labels[:, :, 1:])
    refuses(ValueError, ["image 0", "(30,)"], train, images[0], labels[0])
    refuses(ValueError, ["two classes"], train, images, np.zeros_like(labels))
    refuses(ValueError, ["at least one"], train, [], [], task="regress")
    refuses(TypeError, ["target 0", "float64", "whole numbers"], train, images, labels * 1.0)
    refuses(ValueError, ["validation target 0", "label 4"], train, images, labels, val_images=images, val_targets=labels + 2)
    refuses(ValueError, ["val_images", "val_targets"], train, images, labels, val_images=images)
    refuses(ValueError, ["val_fraction", "2"], train, images, labels, val_fraction=2.0)
    refuses(RuntimeError, ["the loss is", "image"], train, images, images, task="regress", lr=1e30, max_steps=500)


def test_settings_are_those_of_the_configuration_file(tmp_path):
    images, labels = discs()
    out = tmp_path / "run"
    msd_gpu.train(
        images, labels, task="segment", max_steps=np.int64(4), out=out, weights=np.ones(images.shape),
        optimisation={"optimizer": "adamw", "ema": 0.9}, augmentation={"rotate": 5.0}, **QUICK,
    )  # fmt: skip
    written = (out / "config.toml").read_text()
    for line in ("depth = 3", "max_steps = 4", 'optimizer = "adamw"', "ema = 0.9", "rotate = 5.0", "patience = 0"):
        assert line in written
    assert {"history.csv", "model.safetensors"} <= set(os.listdir(out))
    # The model of a run to start from, with its layers.
    second = msd_gpu.train(images, labels, task="segment", init=out, max_steps=1, device="cpu", lr=1e-30)
    assert "depth 3" in repr(second) and second.provenance["started_from"] == str(out)
    assert np.array_equal(second.predict(images[0]), msd_gpu.Model.load(out, device="cpu").predict(images[0]))


def test_weights_of_zero_do_not_count():
    images, labels = discs()
    wrong, weights = labels.copy(), np.ones(labels.shape, np.float32)
    wrong[:, ::2] = 9 - wrong[:, ::2]
    weights[:, ::2] = 0
    settings = {"task": "segment", "max_steps": 30, **QUICK}
    with_wrong = msd_gpu.train(images, wrong, weights=weights, **settings)
    with_right = msd_gpu.train(images, labels, weights=weights, **settings)
    assert np.array_equal(with_wrong.predict(images[0], probabilities=True), with_right.predict(images[0], probabilities=True))


def test_progress_tells_every_step_and_may_end_the_run():
    images, labels = discs()
    seen = []

    def progress(step, loss, done, epoch):
        seen.append((step, loss, done, dict(epoch)))
        return step < 9

    # Epochs as short as these are not all judged unless that is asked for.
    settings = {"task": "segment", "val_fraction": 0.5, "validate_every": 1, **QUICK}
    msd_gpu.train(images, labels, max_steps=1000, progress=progress, **settings)
    assert [step for step, *_ in seen] == list(range(1, 10))
    assert all(np.isfinite(loss) and done == step / 1000 for step, loss, done, _ in seen)
    assert seen[0][3] == {}
    # Two images to train on: the ninth step is the first of the fifth epoch.
    assert seen[-1][3]["epoch"] == 4 and 0 <= seen[-1][3]["mean_iou"] <= 1 and "validation_loss" in seen[-1][3]

    def breaks(step, loss, done, epoch):
        raise KeyError("of the callback")

    with pytest.raises(KeyError, match="of the callback"):
        msd_gpu.train(images, labels, task="segment", max_steps=5, progress=breaks, **QUICK)


def test_interrupting_a_run_keeps_its_best_model(tmp_path):
    images, labels = discs()
    steps = []

    def progress(step, loss, done, epoch):
        steps.append(step)
        if step == 10:
            _thread.interrupt_main()

    with pytest.raises(KeyboardInterrupt):
        msd_gpu.train(images, labels, task="segment", max_steps=10_000, out=tmp_path / "run", progress=progress, **QUICK)
    assert 10 <= len(steps) < 20
    assert msd_gpu.Model.load(tmp_path / "run", device="cpu").task == "segment"


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


def test_messages_go_to_the_standard_logger(caplog):
    images, labels = discs()
    with caplog.at_level(logging.INFO, "msd_gpu"):
        msd_gpu.train(
            images, labels, task="segment", val_images=images[:1], val_targets=labels[:1], max_steps=1, **QUICK
        )
    assert any("validation image 0 is the training image" in record.message for record in caplog.records)


def test_everything_is_documented_and_in_the_stubs():
    stubs = open(os.path.join(os.path.dirname(msd_gpu.__file__), "__init__.pyi")).read()
    assert os.path.exists(os.path.join(os.path.dirname(msd_gpu.__file__), "py.typed"))
    for name in msd_gpu.__all__:
        assert name in stubs
    public = [msd_gpu.train, msd_gpu.devices, msd_gpu.Model]
    public += [getattr(msd_gpu.Model, name) for name in dir(msd_gpu.Model) if not name.startswith("_")]
    for thing in public:
        assert thing.__doc__, thing
        assert thing in public[:2] or thing is msd_gpu.Model or f"def {thing.__name__}(" in stubs
    assert any("CPU" in device for device in msd_gpu.devices())
