"""The module as people use it. Networks are small: what they compute is checked elsewhere, here it is the way in and out."""

import _thread
import json
import logging
import math
import os
import re

import msd_gpu
import numpy as np
import pytest
from conftest import QUICK, discs


def test_a_segmentation_is_learnt_from_arrays_and_gives_the_labels_own_values(segmentation):
    images, labels = discs(6)
    found = segmentation.predict(images[5])
    assert found.dtype == np.uint8 and found.shape == labels[5].shape
    assert np.mean(found == labels[5]) > 0.95
    assert (segmentation.task, segmentation.inputs, segmentation.outputs) == ("segment", 1, 2)
    assert segmentation.classes == [(2, "2"), (7, "7")]
    assert segmentation.provenance["images"] == "arrays in memory"
    assert "CPU" in segmentation.device and "segment" in repr(segmentation)


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


def refuses(kind, parts, act, *arguments, **settings):
    """Checks that a call raises exactly this kind of error, with one sentence that has all the parts."""
    with pytest.raises(kind) as error:
        act(*arguments, **settings)
    text = str(error.value)
    assert type(error.value) is kind, (type(error.value), text)
    assert "\n" not in text and "`" not in text and all(part in text for part in parts), text
    return error.value


def train(*arguments, **settings):
    images, labels = discs()
    arguments = arguments or (images, labels)
    return msd_gpu.train(*arguments, **{"task": "segment", "max_steps": 1, **QUICK, **settings})


def test_files_that_cannot_be_read_or_written_are_os_errors(segmentation, tmp_path):
    load = msd_gpu.Model.load

    def names(error, path, number):
        assert (error.errno, error.filename) == (number, str(path)), error
        assert "os error" not in str(error) and ".part" not in str(error) and ".msd-gpu" not in str(error), error

    missing, folder = tmp_path / "missing", tmp_path / "folder"
    folder.mkdir()
    names(refuses(FileNotFoundError, ["run folder"], load, missing), missing, 2)
    names(refuses(FileNotFoundError, ["run folder"], load, folder), folder / "model.safetensors", 2)
    names(refuses(FileNotFoundError, [], msd_gpu.Ensemble, [missing]), missing, 2)
    names(refuses(FileNotFoundError, [], train, init=missing), missing, 2)
    names(refuses(FileNotFoundError, ["run to resume", "out"], train, resume=missing), missing, 2)
    names(refuses(FileNotFoundError, ["run to resume"], train, resume=folder), folder, 2)
    file = missing / "m.safetensors"
    names(refuses(FileNotFoundError, ["make the folder first"], segmentation.save, file), file, 2)
    for format, file in (("onnx", missing / "m.onnx"), ("torch", missing / "m.py")):
        error = refuses(FileNotFoundError, ["make the folder first"], segmentation.export, file, format)
        names(error, file if format == "onnx" else missing / "m.weights.safetensors", 2)
    (tmp_path / "file").write_text("no model")
    for act, path in ((segmentation.save, tmp_path / "file" / "m"), (load, tmp_path / "file" / "m")):
        error = refuses(NotADirectoryError, [], act, path)
        names(error, path, 20)
    if os.name == "posix":
        refuses(IsADirectoryError, [], segmentation.save, folder)
    refuses(ValueError, ["file", "model file"], load, tmp_path / "file")
    with pytest.raises(OSError):
        train(out=tmp_path / "file" / "run")
    if os.name == "posix" and os.geteuid() != 0:
        folder.chmod(0o500)
        names(refuses(PermissionError, [], segmentation.save, folder / "m"), folder / "m", 13)
        refuses(PermissionError, [], train, out=folder / "run")
        folder.chmod(0o700)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"] and os.listdir(folder) == []


def test_what_cannot_be_used_is_said_in_one_sentence(segmentation, regression, colour, tmp_path):
    images, labels = discs()
    segmentation.save(tmp_path / "m.safetensors")
    load = msd_gpu.Model.load
    refuses(ValueError, ["no such device", "CPU", 'device="cpu"'], load, tmp_path / "m.safetensors", device="no such device")
    refuses(ValueError, ["tile is 0"], load, tmp_path / "m.safetensors", device="cpu", tile=0)
    refuses(TypeError, ["device is 3, an int; wanted a str"], load, tmp_path / "m.safetensors", device=3)
    refuses(TypeError, ["tile is 2.5, a float; wanted an int"], load, tmp_path / "m.safetensors", tile=2.5)
    refuses(ValueError, ["tile is -1", "at least 1"], load, tmp_path / "m.safetensors", tile=-1)
    refuses(TypeError, ["path is 3, an int; wanted a str or a path"], load, 3)
    refuses(TypeError, ["path is 3, an int"], segmentation.save, 3)
    refuses(TypeError, ["format is 3, an int"], segmentation.export, "m", 3)
    refuses(TypeError, ["probabilities is 1, an int; wanted a bool"], segmentation.predict, images, probabilities=1)
    refuses(TypeError, ["rescale is True, a bool; wanted a str"], segmentation.predict, images, rescale=True)
    refuses(ValueError, ["rescale is 'max'", "mean", "1..99"], segmentation.evaluate, images, labels, rescale="max")
    refuses(TypeError, ["tta is 'yes', a str; wanted a bool"], msd_gpu.Ensemble, [segmentation], tta="yes")
    refuses(TypeError, ["ignore is 0.5, a float; wanted an int"], segmentation.evaluate, images, labels, ignore=0.5)
    refuses(ValueError, ["ignore is 18446744073709551616"], segmentation.evaluate, images, labels, ignore=2**64)
    refuses(TypeError, ["data_range is 'all', a str; wanted a float"], regression.evaluate, images, images, data_range="all")
    refuses(ValueError, ["ssim_window", "segmentation"], segmentation.evaluate, images, labels, ssim_window="gaussian")
    refuses(ValueError, ["ssim_window is 'box'", "uniform"], regression.evaluate, images, images, ssim_window="box")
    refuses(TypeError, ["circle is 1, an int; wanted a bool"], segmentation.evaluate, images, labels, circle=1)
    refuses(TypeError, ["task is 3, an int; wanted a str"], train, task=3)
    refuses(TypeError, ["out is 3, an int"], train, out=3)
    refuses(TypeError, ["resume is 3, an int"], train, resume=3)
    refuses(TypeError, ["verbose is 1, an int"], train, verbose=1)
    refuses(TypeError, ["progress is 3, an int; wanted a function"], train, progress=3)
    refuses(ValueError, ["array[0] has 2 channels", "images of 1"], segmentation.predict, np.zeros((1, 2, 4, 4)))
    coloured = np.arange(48).reshape((1, 3, 4, 4))
    error = refuses(ValueError, ["3 channels that differ", "images of 1"], segmentation.predict, coloured)
    assert "axes" not in str(error)
    refuses(ValueError, ["0 pixels"], segmentation.predict, np.zeros((1, 0, 4)))
    refuses(ValueError, ["probabilities", "regression"], regression.predict, images[0], probabilities=True)
    refuses(ValueError, ["format is 'caffe'", "onnx", "torch"], segmentation.export, tmp_path / "m", "caffe")
    refuses(ValueError, ["path is", ".py"], segmentation.export, tmp_path / "m.txt", "torch")

    refuses(ValueError, ["task is 'guess'", "segment", "regress"], train, task="guess")
    refuses(TypeError, ['task="segment"'], train, task=None)
    refuses(ValueError, ["lr", "-1"], train, lr=-1)
    refuses(ValueError, ["lr", "NaN"], train, lr=math.nan)
    refuses(ValueError, ["lr", "inf"], train, lr=math.inf)
    refuses(ValueError, ["depth", "-3", "whole number from 0"], train, depth=-3)
    refuses(ValueError, ["monitor is 'best'", "iou"], train, monitor="best")
    refuses(ValueError, ["4 images", "3 targets"], train, images, labels[:3])
    refuses(ValueError, ["4 images", "2 weights"], train, weights=np.ones((2, 24, 30)))
    refuses(ValueError, ["4 val_images", "3 val_targets"], train, val_images=images, val_targets=labels[:3])
    refuses(ValueError, ["two classes"], train, images, np.zeros_like(labels))
    refuses(ValueError, ["at least one"], train, [], [], task="regress")
    refuses(ValueError, ["val_targets[0]", "label 4", "ignore=4"], train, val_images=images, val_targets=labels + 2)
    refuses(TypeError, ["val_images", "val_targets"], train, val_images=images)
    refuses(TypeError, ["val_weights"], train, val_weights=images)
    refuses(ValueError, ["val_fraction", "2"], train, val_fraction=2.0)
    refuses(TypeError, ["out or resume"], train, out=tmp_path / "a", resume=tmp_path / "b")
    refuses(RuntimeError, ["the loss is", "images[", "lower lr"], train, images, images, task="regress", lr=1e30, max_steps=500)

    refuses(ValueError, ["models is empty"], msd_gpu.Ensemble, [])
    refuses(TypeError, ["models[1] is an int"], msd_gpu.Ensemble, [segmentation, 3])
    refuses(TypeError, ["models is a str"], msd_gpu.Ensemble, "model.safetensors")
    refuses(TypeError, ["models is an int"], msd_gpu.evaluate, 3, images, labels)
    refuses(ValueError, ["models[1] is a regression", "models[0] is a segmentation"], msd_gpu.Ensemble, [segmentation, regression])
    refuses(ValueError, ["models[1] has 3 channels"], msd_gpu.Ensemble, [segmentation, colour])
    refuses(ValueError, ["data_range", "segmentation"], segmentation.evaluate, images, labels, data_range=1)
    refuses(ValueError, ["ignore", "regression", "weights"], regression.evaluate, images, images, ignore=1)
    refuses(ValueError, ["targets have 1 channel,", "gives 2"], regression.evaluate, images, images)
    refuses(ValueError, ["targets[0]", "label 9"], segmentation.evaluate, images, labels + 7)
    refuses(ValueError, ["images[0] has 1 channel"], colour.evaluate, images, labels)


def test_other_functions_name_the_nearest_keyword_too(segmentation):
    images, labels = discs()
    for name, act, known, keyword in [
        ("Model.load", lambda **k: msd_gpu.Model.load("m", **k), "device", "devise"),
        ("Model.predict", lambda **k: segmentation.predict(images, **k), "probabilities", "probabilites"),
        ("Ensemble.predict", lambda **k: msd_gpu.Ensemble([segmentation]).predict(images, **k), "rescale", "rescal"),
        ("Ensemble.uncertainty", lambda **k: msd_gpu.Ensemble([segmentation]).uncertainty(images, **k), "rescale", "re_scale"),
        ("Model.evaluate", lambda **k: segmentation.evaluate(images, labels, **k), "ignore", "ignored"),
        ("Ensemble", lambda **k: msd_gpu.Ensemble([segmentation], **k), "tile", "tiles"),
        ("evaluate", lambda **k: msd_gpu.evaluate(segmentation, images, labels, **k), "weights", "weight"),
        ("Ensemble.evaluate", lambda **k: msd_gpu.Ensemble([segmentation]).evaluate(images, labels, **k), "data_range", "datarange"),
    ]:
        refuses(TypeError, [f"{name}() got", f"'{keyword}'", f"the nearest is '{known}'"], act, **{keyword: None})
        refuses(TypeError, [f"help(msd_gpu.{name})"], act, something_else=1)


def test_unknown_keywords_are_named_with_the_nearest_and_values_of_other_types_with_theirs():
    for name, value, parts in [
        ("deepth", 3, ["'deepth'", "the nearest is 'depth'"]),
        ("detph", 3, ["'detph'", "the nearest is 'depth'"]),
        ("Depth", 3, ["'Depth'", "the nearest is 'depth'"]),
        ("max_minuts", None, ["the nearest is 'max_minutes'"]),
        ("val_image", 3, ["the nearest is 'val_images'"]),
        ("weight", 3, ["the nearest is 'weights'"]),
        ("outt", 3, ["the nearest is 'out'"]),
        ("verbos", True, ["the nearest is 'verbose'"]),
        ("resumes", True, ["the nearest is 'resume'"]),
        ("optimization", {}, ["the nearest is 'optimisation'"]),
        ("noise", 0.1, ["'noise' inside 'augmentation'", 'augmentation={"noise": ...}']),
        ("noize", 0.1, ["'noize'", "the nearest is 'noise' inside 'augmentation'"]),
        ("something_else", 0.1, ["'something_else'", "help(msd_gpu.train)"]),
        ("folds", 3, ["'folds'", "images in files"]),
        ("axes", "ZYX", ["'axes'", "files"]),
        ("augmentation", {"noize": 0.1}, ["'augmentation' has no setting 'noize'", "the nearest is 'noise'"]),
        ("augmentation", {"lr_steps": 1}, ["'augmentation' has no setting 'lr_steps'", "it has rotate"]),
        ("augmentation", 3, ["augmentation is 3, an int", "a dict"]),
        ("augmentation", {3: 3}, ["augmentation", "a dict"]),
        ("depth", "3", ["depth is '3', a str; wanted an int"]),
        ("depth", 3.0, ["depth is 3.0, a float; wanted an int"]),
        ("depth", True, ["depth is True, a bool; wanted an int"]),
        ("lr", "high", ["lr is 'high', a str; wanted a float"]),
        ("lr", True, ["lr is True, a bool; wanted a float"]),
        ("tensorboard", 1, ["tensorboard is 1, an int; wanted a bool"]),
        ("monitor", 1, ["monitor is 1, an int; wanted a str"]),
        ("dilations", [1, 2], ["dilations is [1, 2], a list; wanted a str"]),
        ("init", 3, ["init is 3, an int; wanted a str or a path"]),
        ("optimisation", {"ema": "much"}, ["ema is 'much', a str; wanted a float"]),
    ]:
        refuses(TypeError, parts, train, **{name: value})
    # None is as good as nothing, and numbers of NumPy are numbers.
    train(max_minutes=None, augmentation=None, optimisation={"ema": None}, val_fraction=None, init=None)
    train(depth=np.uint8(2), lr=np.float32(0.01), normalise_per_image=np.bool_(True), max_epochs=np.int64(1), seed=2**63 - 1)


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


def test_messages_go_to_the_standard_logger(caplog):
    images, labels = discs()
    with caplog.at_level(logging.INFO, "msd_gpu"):
        msd_gpu.train(
            images, labels, task="segment", val_images=images[:1], val_targets=labels[:1], max_steps=1, **QUICK
        )
    assert any("the validation image val_images[0] is the training image images[0]" in record.message for record in caplog.records)


def test_each_epoch_is_a_line_of_the_logger_and_of_stderr_where_it_is_asked_for(caplog, capsys):
    settings = {"val_fraction": 0.5, "max_epochs": 3, "max_steps": None, "validate_every": 1}
    with caplog.at_level(logging.INFO, "msd_gpu"):
        model = train(**settings)
    records = [record for record in caplog.records if record.message.startswith("epoch ")]
    assert [record.levelname for record in records] == ["INFO"] * 3 and records[0].name == "msd_gpu"
    for epoch, record in zip(model.history, records):
        line = r"epoch {epoch}, step {step}: loss \d+\.\d{{4}}, val \d+\.\d{{4}}, mean iou \d\.\d{{3}}( \(best\))?"
        assert re.fullmatch(line.format(**epoch), record.message), record.message
    assert capsys.readouterr().err == ""
    train(verbose=True, **settings)
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.splitlines() == [record.message for record in records]


def test_ctrl_c_inside_the_logger_is_heard():
    class Presses(logging.Handler):
        def emit(self, record):
            _thread.interrupt_main()

    logger, handler = logging.getLogger("msd_gpu"), Presses()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        with pytest.raises(KeyboardInterrupt):
            train(max_epochs=100_000, max_steps=None)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)


def test_the_history_is_that_of_the_run(tmp_path):
    images, labels = discs()
    model = train(max_steps=None, max_epochs=4, validate_every=2, val_images=images, val_targets=labels, out=tmp_path / "run")
    names = ["epoch", "step", "minutes", "training_loss", "validation_loss", "mean_iou", "mean_dice", "class_accuracy"]
    assert [list(epoch) for epoch in model.history] == [[*names, "global_accuracy", "learning_rate", "best"]] * 4
    assert [epoch["epoch"] for epoch in model.history] == [1, 2, 3, 4]
    assert [math.isnan(epoch["validation_loss"]) for epoch in model.history] == [True, False, True, False]
    assert [type(epoch["best"]) for epoch in model.history] == [bool] * 4
    lines = (tmp_path / "run" / "history.csv").read_text().splitlines()
    assert lines[0].split(",") == list(model.history[0])
    for epoch, line in zip(model.history, lines[1:]):
        for written, value in zip(line.split(","), epoch.values()):
            assert math.isnan(value) if written == "" else float(written) == value
    loaded = msd_gpu.Model.load(tmp_path / "run", device="cpu")
    assert json.dumps(loaded.history) == json.dumps(model.history)
    assert msd_gpu.Model.load(tmp_path / "run" / "model.safetensors", device="cpu").history == []
    # What is changed in the list changes nothing in the model.
    model.history.clear()
    assert len(model.history) == 4


def test_a_run_is_resumed_as_if_it_had_not_been_stopped(tmp_path):
    images, labels = discs()
    settings = {"val_fraction": 0.25, "max_steps": None, "validate_every": 1}
    whole = train(max_epochs=6, out=tmp_path / "whole", **settings)
    train(max_epochs=2, out=tmp_path / "run", **settings)
    resumed = msd_gpu.train(images, labels, resume=tmp_path / "run", max_epochs=6)
    assert np.array_equal(resumed.predict(images, probabilities=True), whole.predict(images, probabilities=True))
    kept = ("training_loss", "validation_loss", "mean_iou", "best")
    assert [[e[k] for k in kept] for e in resumed.history] == [[e[k] for k in kept] for e in whole.history]
    # New limits take the place of old ones, and the same may be said again.
    again = msd_gpu.train(images, labels, resume=tmp_path / "run", max_steps=19, task="segment", depth=3)
    assert again.history[-1]["step"] == 19
    refuses(ValueError, ["depth is 4 and was 3", "out"], msd_gpu.train, images, labels, resume=tmp_path / "run", depth=4)
    refuses(ValueError, ["task is regress", "segment"], msd_gpu.train, images, images, resume=tmp_path / "run", task="regress")
    refuses(ValueError, ["training images"], msd_gpu.train, images + 1, labels, resume=tmp_path / "run", max_steps=30)
    refuses(ValueError, ["holds a run already", "resume"], train, out=tmp_path / "run")


def test_models_are_scored_as_the_program_does(segmentation, regression):
    images, labels = discs(6)
    scores = segmentation.evaluate(images, labels)
    found = segmentation.predict(images)
    assert scores["task"] == "segment" and scores["images"] == 6 and scores["pixels"] == labels.size
    assert math.isclose(scores["global_accuracy"], np.mean(found == labels))
    table = [[int(((labels == a) & (found == b)).sum()) for b in (2, 7)] for a in (2, 7)]
    assert scores["confusion_matrix"] == table
    ious = [np.mean((found == v)[(found == v) | (labels == v)] & (labels == v)[(found == v) | (labels == v)]) for v in (2, 7)]
    assert [c["value"] for c in scores["classes"]] == [2, 7]
    assert np.allclose([c["iou"] for c in scores["classes"]], ious) and math.isclose(scores["mean_iou"], np.mean(ious))
    assert 0 <= scores["calibration_error"] <= 1
    # What does not count.
    weights = np.ones(labels.shape)
    weights[:, 5:] = 0
    top = segmentation.evaluate(images, labels, weights=weights)
    assert top["pixels"] == 6 * 5 * 30
    ignored = np.where(weights == 0, 255, labels)
    assert segmentation.evaluate(images, ignored, ignore=255) == top
    assert segmentation.evaluate(images, np.ma.array(ignored, mask=weights == 0)) == top
    assert segmentation.evaluate(images, np.where(weights == 0, np.nan, labels)) == top
    # The function takes one model or several.
    assert msd_gpu.evaluate(segmentation, images, labels) == scores
    assert msd_gpu.evaluate([segmentation], images, labels) == scores
    two = msd_gpu.evaluate([segmentation, segmentation], images, labels)
    assert two["models"] == two["predictions"] == 2 and two["confusion_matrix"] == table

    targets = 1000 + 2.0 * np.stack([images, 255 - images], 1)
    scores = regression.evaluate(images, targets)
    apart = regression.predict(images) - targets
    assert math.isclose(scores["output"]["mse"], np.mean(apart**2), rel_tol=1e-5)
    assert math.isclose(scores["output"]["mae"], np.mean(abs(apart)), rel_tol=1e-5)
    span = targets.max() - targets.min()
    assert math.isclose(scores["output"]["psnr"], 10 * math.log10(span**2 / np.mean(apart**2)), rel_tol=1e-5)
    assert scores["input"] is None and scores["data_range_from"] == "targets"
    assert regression.evaluate(images, targets, data_range=100)["data_range"] == 100
    gaussian = regression.evaluate(images, targets, ssim_window="gaussian", circle=True)
    assert gaussian["ssim_window"] == "gaussian" and gaussian["circle"] is True
    height, width = images.shape[1:]
    y, x = np.ogrid[:height, :width]
    inside = np.hypot(y - (height - 1) / 2, x - (width - 1) / 2) <= (min(height, width) - 1) / 2
    assert math.isclose(gaussian["output"]["mse"], np.mean(apart[:, :, inside] ** 2), rel_tol=1e-5)
    json.dumps(scores)


def test_images_of_another_range_are_told_and_brought_to_that_of_training(segmentation, denoiser, caplog):
    images, labels = discs()
    wide = images.astype(np.uint16) * 257
    # Each model says it once.
    msd_gpu.Ensemble([segmentation]).predict(wide)
    assert 'give rescale="mean"' in caplog.text
    caplog.clear()
    # By its own numbers each image is the same in any range.
    wanted = segmentation.predict(images, rescale="mean", probabilities=True)
    assert np.allclose(segmentation.predict(wide, rescale="mean", probabilities=True), wanted, atol=1e-4)
    scores = segmentation.evaluate(wide, labels, rescale="mean")
    assert scores["mean_iou"] > 0.9 > segmentation.evaluate(wide, labels)["mean_iou"]
    assert msd_gpu.evaluate([segmentation], wide, labels, rescale="mean") == scores
    ensemble = msd_gpu.Ensemble([segmentation])
    assert np.array_equal(ensemble.predict(wide, rescale="mean"), segmentation.predict(wide, rescale="mean"))
    assert np.allclose(ensemble.uncertainty(wide, rescale="mean")["mean"], wanted, atol=1e-4)
    # One call does not change the next.
    assert np.array_equal(segmentation.predict(wide), msd_gpu.Ensemble([segmentation]).predict(wide))
    refuses(ValueError, ["rescale is 1..99", "normalised by mean", 'give rescale="mean"'], denoiser.predict, images, rescale="1..99")


def test_ensembles_give_the_mean(segmentation, denoiser, tmp_path):
    images, labels = discs()
    other = train(max_steps=30, seed=8)
    other.save(tmp_path / "other.safetensors")
    both = [m.predict(images, probabilities=True) for m in (segmentation, other)]
    ensemble = msd_gpu.Ensemble((segmentation, tmp_path / "other.safetensors"))
    assert (len(ensemble), ensemble.tta, ensemble.task, ensemble.inputs, ensemble.outputs) == (2, False, "segment", 1, 2)
    assert ensemble.classes == segmentation.classes and ensemble.device == segmentation.device
    assert "2 models" in repr(ensemble)
    mean = ensemble.predict(images, probabilities=True)
    assert np.allclose(mean, np.mean(both, 0), atol=1e-6)
    assert np.array_equal(ensemble.predict(images), np.array([2, 7])[mean.argmax(1)])
    found = ensemble.uncertainty(images)
    assert list(found) == ["mean", "deviation", "entropy"]
    assert np.array_equal(found["mean"], mean)
    assert np.allclose(found["deviation"], np.std(both, 0), atol=1e-5)
    assert found["entropy"].shape == images.shape
    assert np.allclose(found["entropy"], -(mean * np.log(np.maximum(mean, 1e-30))).sum(1), atol=1e-5)
    assert ensemble.evaluate(images, labels) == msd_gpu.evaluate(ensemble, images, labels)
    assert ensemble.evaluate(images, labels)["models"] == 2

    turned = msd_gpu.Ensemble([segmentation], tta=True)
    each = []
    for flip in (1, -1):
        for quarter in range(4):
            shown = np.rot90(images[:, :, ::flip], quarter, (1, 2))
            given = np.rot90(segmentation.predict(shown, probabilities=True), -quarter, (2, 3))
            each.append(given[..., ::flip])
    assert turned.tta and np.allclose(turned.predict(images, probabilities=True), np.mean(each, 0), atol=1e-5)
    assert turned.evaluate(images, labels)["predictions"] == 8
    assert msd_gpu.Ensemble([denoiser], tta=True).predict(images).shape == images.shape
    found = msd_gpu.Ensemble([denoiser]).uncertainty(images)
    assert list(found) == ["mean", "deviation"] and np.array_equal(found["mean"], denoiser.predict(images))
    assert found["deviation"].shape == images.shape and not found["deviation"].any()


def test_a_folder_of_folds_is_an_ensemble(segmentation, tmp_path):
    images, _ = discs()
    for fold in (1, 2):
        train(out=tmp_path / "folds" / f"fold-{fold}", seed=fold, class_names="around,disc")
    ensemble = msd_gpu.Ensemble([tmp_path / "folds"])
    assert len(ensemble) == 2 and ensemble.classes == [(2, "around"), (7, "disc")]
    one = msd_gpu.Ensemble([tmp_path / "folds" / "fold-1", str(tmp_path / "folds" / "fold-2")])
    assert np.array_equal(ensemble.predict(images, probabilities=True), one.predict(images, probabilities=True))


def test_models_are_exported(segmentation, tmp_path):
    segmentation.export(tmp_path / "model.onnx", "onnx")
    segmentation.export(tmp_path / "model.py", format="torch")
    assert sorted(os.listdir(tmp_path)) == ["model.onnx", "model.py", "model.weights.safetensors"]
    images, _ = discs()
    weights = msd_gpu.Model.load(tmp_path / "model.weights.safetensors", device="cpu")
    assert np.array_equal(weights.predict(images), segmentation.predict(images))
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"image": images[:, None].astype(np.float32)})
    assert np.allclose(found, segmentation.predict(images, probabilities=True), atol=1e-5)


def test_devices_are_listed():
    assert any("CPU" in device for device in msd_gpu.devices())
