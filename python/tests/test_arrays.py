"""Every type of number, byte order, layout and shape, masks, and what is refused."""

import warnings

import msd_gpu
import numpy as np
import pytest
from conftest import QUICK, discs

INTEGERS = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]
FLOATS = ["f2", "f4", "f8", "longdouble"]
TYPES = [np.dtype(kind).newbyteorder(order) for kind in INTEGERS + FLOATS for order in "<>"]


def unaligned(array):
    """A view of a field that begins at an odd byte."""
    records = np.zeros(array.shape, [("before", "u1"), ("value", array.dtype)])
    records["value"] = array
    return records["value"]


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


class Subclass(np.ndarray):
    """As those that have rules of their own."""

    def __getitem__(self, index):
        raise NotImplementedError


class Foreign:
    """As other libraries' arrays are: no NumPy array, but it can make one."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array if dtype is None else self.array.astype(dtype)


class Interface:
    """As pictures of Pillow are."""

    def __init__(self, array):
        self.__array_interface__ = array.__array_interface__
        self.kept = array


LAYOUTS = {
    "rows": np.ascontiguousarray,
    "columns": np.asfortranarray,
    "every second": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "backwards": lambda a: np.ascontiguousarray(a[..., ::-1, ::-1])[..., ::-1, ::-1],
    "transposed": lambda a: np.ascontiguousarray(np.swapaxes(a, -1, -2)).swapaxes(-1, -2),
    "broadcast": lambda a: np.broadcast_to(a, (2, *a.shape))[1],
    "read only": read_only,
    "unaligned": unaligned,
    "subclass": lambda a: a.view(Subclass),
    "masked nowhere": np.ma.asarray,
}


def plain(result):
    return np.ma.getdata(result) if isinstance(result, np.ma.MaskedArray) else result


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_every_type_and_layout_gives_what_float32_gives(segmentation, colour, kind, layout):
    images, _ = discs(3)
    images = images // 2  # int8 holds them, and float16 exactly.
    arrange = LAYOUTS[layout]
    for model, array in [(segmentation, images[0]), (segmentation, images), (segmentation, images[:, None]), (colour, images)]:
        wanted = model.predict(array.astype(np.float32), probabilities=True)
        given = arrange(array.astype(kind))
        assert np.array_equal(plain(given), array)
        found = plain(model.predict(given, probabilities=True))
        assert found.dtype == np.float32 and np.array_equal(found, wanted)
        assert np.array_equal(plain(model.predict(given)), model.predict(array.astype(np.float32)))


def test_booleans_and_foreign_arrays_are_images_too(segmentation):
    images, labels = discs()
    inside = labels[0] == 7
    assert np.array_equal(segmentation.predict(inside), segmentation.predict(inside.astype(np.float32)))
    assert np.array_equal(segmentation.predict(Foreign(images)), segmentation.predict(images))
    assert np.array_equal(segmentation.predict(Interface(images)), segmentation.predict(images))
    model = msd_gpu.train([Foreign(i) for i in images], Foreign(labels), task="segment", max_steps=1, **QUICK)
    assert model.predict(images).shape == labels.shape


@pytest.mark.parametrize("kind", [np.dtype("?"), *TYPES], ids=str)
def test_labels_of_every_type_are_the_same_labels(kind):
    images, labels = discs(2)
    inside = (labels == 7).astype(kind)
    settings = {"task": "segment", "max_steps": 2, **QUICK}
    wanted = msd_gpu.train(images, (labels == 7).astype(int), **settings)
    for arrange in (np.ascontiguousarray, np.asfortranarray, read_only, unaligned):
        model = msd_gpu.train(images, arrange(inside), **settings)
        assert model.classes == [(0, "0"), (1, "1")]
        assert model.predict(images).dtype == np.uint8
        assert np.array_equal(model.predict(images, probabilities=True), wanted.predict(images, probabilities=True))


@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_targets_and_weights_of_every_type_are_the_same_numbers(kind):
    images, labels = discs(2)
    settings = {"task": "regress", "max_steps": 2, **QUICK}
    weights = labels // 2  # 1 and 3
    wanted = msd_gpu.train(images, images // 2, weights=weights.astype(np.float32), **settings)
    model = msd_gpu.train(images.astype(np.uint8), (images // 2).astype(kind), weights=weights.astype(kind), **settings)
    assert np.array_equal(model.predict(images), wanted.predict(images))


def test_shapes_of_one_channel(segmentation, regression, denoiser):
    images, _ = discs(3)
    one = segmentation.predict(images[0])
    assert one.shape == (24, 30)
    for stack in (images, images[:, None]):
        labels = segmentation.predict(stack)
        assert labels.shape == (3, 24, 30) and np.array_equal(labels[0], one)
        probabilities = segmentation.predict(stack, probabilities=True)
        assert probabilities.shape == (3, 2, 24, 30) and np.allclose(probabilities.sum(1), 1, atol=1e-5)
    assert segmentation.predict(images[:1]).shape == (1, 24, 30)
    assert segmentation.predict(images[0], probabilities=True).shape == (2, 24, 30)
    assert regression.predict(images[0]).shape == (2, 24, 30)
    assert regression.predict(images).shape == regression.predict(images[:, None]).shape == (3, 2, 24, 30)
    assert denoiser.predict(images[0]).shape == (24, 30)
    assert denoiser.predict(images).shape == (3, 24, 30)
    assert denoiser.predict(images[:, None]).shape == (3, 1, 24, 30)
    # One row, one column, one pixel.
    for shape in ((1, 9), (9, 1), (1, 1), (2, 1, 1)):
        assert segmentation.predict(np.zeros(shape)).shape == shape


def test_shapes_of_several_channels(colour):
    image = np.zeros((3, 24, 30), np.uint8)
    assert colour.inputs == 3
    assert colour.predict(image).shape == (24, 30)
    assert colour.predict(image[None]).shape == (1, 24, 30)
    assert colour.predict(np.stack([image] * 4)).shape == (4, 24, 30)
    for wrong in (image[0], image[:2], image[None, :2]):
        with pytest.raises(ValueError, match=r"channels?, but the model takes images of 3"):
            colour.predict(wrong)


def test_channels_that_come_last_are_noticed(segmentation, colour, caplog):
    for shape in ((24, 30, 3), (2, 24, 30, 3)):
        with pytest.raises(ValueError, match=r"array has 24 channels, but 3 in its last axis; with numpy.moveaxis\(array, -1, -3\)"):
            colour.predict(np.zeros(shape))
    segmentation.predict(np.zeros((4, 5)))
    assert not caplog.records
    assert segmentation.predict(np.zeros((4, 5, 1))).shape == (4, 5, 1)
    assert "array is taken for 4 images of 1 x 5 pixels" in caplog.text


def test_train_and_predict_understand_the_same_stacks():
    images, labels = discs()
    settings = {"task": "segment", "max_steps": 2, **QUICK}
    wanted = msd_gpu.train(list(images), list(labels), **settings).predict(images, probabilities=True)
    for stack in (images, images[:, None], tuple(images), (image for image in images)):
        model = msd_gpu.train(stack, labels, **settings)
        assert np.array_equal(model.predict(images, probabilities=True), wanted)


def test_masked_pixels_do_not_count_in_training():
    images, labels = discs()
    settings = {"task": "segment", "max_steps": 20, **QUICK}
    hidden = np.zeros(labels.shape, bool)
    hidden[:, ::3] = True
    weights = np.where(hidden, 0.0, 1.0)
    # Where labels are masked, another value stands that would be a class.
    wanted = msd_gpu.train(images, labels, weights=weights, **settings)
    for masked in (
        np.ma.array(np.where(hidden, 99, labels), mask=hidden),
        np.ma.array(np.where(hidden, 2**64 - 1, labels.astype("u8")), mask=hidden),
        np.where(hidden, np.nan, labels),
        np.ma.array(np.where(hidden, 0.5, labels), mask=hidden),
    ):
        model = msd_gpu.train(images, masked, **settings)
        assert model.classes == [(2, "2"), (7, "7")]
        assert np.array_equal(model.predict(images, probabilities=True), wanted.predict(images, probabilities=True))
    # Masked weights are 0, and so are those of masked targets of a regression.
    model = msd_gpu.train(images, labels, weights=np.ma.array(np.ones(labels.shape), mask=hidden), **settings)
    assert np.array_equal(model.predict(images, probabilities=True), wanted.predict(images, probabilities=True))
    settings["task"] = "regress"
    values = np.ma.masked_invalid(np.where(hidden, np.nan, images))
    scores = msd_gpu.train(images, values, val_images=images, val_targets=values, **settings).evaluate(images, values)
    assert np.isfinite(scores["output"]["mse"])
    # A masked image is finite everywhere, and where it is masked its target does not count.
    broken = np.ma.masked_invalid(np.where(hidden, np.nan, images))
    model = msd_gpu.train(broken, labels, **{**settings, "task": "segment"})
    assert 0 < model.evaluate(broken, labels)["pixels"] == (~hidden).sum()


def test_masks_in_colours_are_labels():
    images, labels = discs()
    colours = np.where((labels == 7)[..., None], np.uint8([255, 128, 0]), np.uint8([0, 0, 64]))
    numbers = np.where(labels == 7, 0xFF8000, 0x000040)
    settings = {"task": "segment", "max_steps": 30, "val_images": images, **QUICK}
    wanted = msd_gpu.train(images, numbers, val_targets=numbers, colours="auto", **settings)
    assert wanted.classes == [(0, "#000040"), (1, "#ff8000")]
    probabilities = wanted.predict(images, probabilities=True)
    scores = wanted.evaluate(images, numbers)
    for masks in (colours, list(colours), colours.astype("i8"), np.asfortranarray(colours), np.ma.asarray(colours)):
        model = msd_gpu.train(images, masks, val_targets=masks, colours="auto", **settings)
        assert model.classes == wanted.classes
        assert np.array_equal(model.predict(images, probabilities=True), probabilities)
        assert model.evaluate(images, masks) == scores and msd_gpu.evaluate([model], images, masks) == scores
    listed = msd_gpu.train(images, colours, val_targets=colours, colours="#ff8000,#000040", **settings)
    assert listed.classes == [(0, "#ff8000"), (1, "#000040")]
    assert listed.evaluate(images, colours)["pixels"] == labels.size
    # A pixel has no label where any of its three numbers is masked.
    hidden = np.zeros(colours.shape, bool)
    hidden[:, ::3, :, 1] = True
    masked = np.ma.array(np.where(hidden, 7, colours), mask=hidden)
    model = msd_gpu.train(images, masked, val_targets=masked, colours="auto", **settings)
    assert model.classes == wanted.classes
    assert model.evaluate(images, masked)["pixels"] == (~hidden[..., 1]).sum()


def test_colours_that_are_none_are_named():
    images, _ = discs(2)
    colours = np.zeros((2, 24, 30, 3), np.int16)
    colours[:, :9] = 255

    def train(labels, **settings):
        return msd_gpu.train(images, labels, task="segment", max_steps=1, **QUICK, **settings)

    model = train(colours, colours="auto")
    for labels, settings, parts in [
        (colours, {}, ["targets[0] has the shape (24, 30, 3)", 'colours="auto"']),
        (colours + 1, {"colours": "auto"}, ["targets[0] has the value 256", "from 0 to 255"]),
        (colours / 255, {"colours": "auto"}, ["targets[0] is an array of float64", "uint8"]),
        (colours[..., :2], {"colours": "auto"}, ["targets[0] has the shape (24, 30, 2)", "(y, x, 3)"]),
        (colours, {"colours": "#000000,#ff0000"}, ["targets[0]", "has the colour #ffffff in 270 of 720 pixels", "add it to colours"]),
    ]:
        with pytest.raises(ValueError) as error:
            train(labels, **settings)
        assert all(part in str(error.value) for part in parts), error.value
    with pytest.raises(ValueError, match="targets.1.*has the colour #070707"):
        model.evaluate(images, np.stack([colours[0], np.full_like(colours[0], 7)]))


def test_a_target_that_is_masked_everywhere_is_passed_over():
    images, labels = discs()
    nowhere = np.ma.array(labels, mask=[[[True]], [[False]], [[False]], [[False]]] * np.ones(labels.shape, bool))
    # The other images will do.
    model = msd_gpu.train(images, nowhere, task="segment", max_steps=1, **QUICK)
    assert model.provenance["training_images"] == "3"
    assert model.evaluate(images, nowhere)["pixels"] == labels[1:].size
    for all_masked in (np.ma.array(labels, mask=True), np.full(labels.shape, np.nan)):
        with pytest.raises(ValueError, match="no pixel of targets has a label"):
            msd_gpu.train(images, all_masked, task="segment", max_steps=1, **QUICK)
    msd_gpu.train(images, labels, task="segment", val_images=images, val_targets=nowhere, max_steps=1, **QUICK)


def test_masked_images_give_masked_results(segmentation, colour):
    images, _ = discs(3)
    hidden = np.zeros(images.shape, bool)
    hidden[1, 3:5, 4:9] = True
    values = np.where(hidden, np.nan, images)
    found = segmentation.predict(np.ma.masked_invalid(values))
    assert isinstance(found, np.ma.MaskedArray) and np.array_equal(found.mask, hidden)
    # The mean of the others takes the place of what is masked.
    filled = images.astype(float)
    filled[1][hidden[1]] = images[1][~hidden[1]].mean()
    assert np.array_equal(found.data, segmentation.predict(filled))
    probabilities = segmentation.predict(np.ma.array(images, mask=hidden), probabilities=True)
    assert np.array_equal(probabilities.mask, np.stack([hidden, hidden], 1))
    # Any channel.
    found = colour.predict(np.ma.array(images, mask=hidden))
    assert found.shape == (24, 30) and np.array_equal(found.mask, hidden[1])
    assert not isinstance(segmentation.predict(images), np.ma.MaskedArray)


@pytest.mark.parametrize(
    "array, named",
    [
        (np.zeros((4, 4), complex), "complex128"),
        (np.array([["a"]]), "<U1"),
        (np.array([[None]]), "object"),
        (np.zeros((4, 4), "M8[s]"), "datetime64"),
        (np.zeros((4, 4), "m8[s]"), "timedelta64"),
        (np.zeros((4, 4), [("a", "f4")]), "a"),
        ([[1.0]], "a list"),
        (None, "a NoneType"),
        ("images", "a str"),
    ],
    ids=str,
)
def test_other_types_are_named_with_their_keyword(segmentation, array, named):
    images, labels = discs(1)
    for act, keyword in [
        (lambda: segmentation.predict(array), "array"),
        (lambda: msd_gpu.train([array], labels, task="segment", **QUICK), "images[0]"),
        (lambda: msd_gpu.train(images, [array], task="segment", **QUICK), "targets[0]"),
        (lambda: msd_gpu.train(images, labels, weights=[array], task="segment", **QUICK), "weights[0]"),
        (lambda: segmentation.evaluate(images, [array]), "targets[0]"),
    ]:
        with pytest.raises(TypeError) as error:
            act()
        assert str(error.value).startswith(f"{keyword} is ") and named in str(error.value), error.value


@pytest.mark.parametrize("shape", [(), (4,), (0,), (0, 4, 4), (0, 1, 4, 4), (1, 1, 1, 4, 4)], ids=str)
def test_other_shapes_are_named(segmentation, shape):
    with pytest.raises(ValueError, match="array has the shape") as error:
        segmentation.predict(np.zeros(shape))
    assert str(shape) in str(error.value) and "(y, x), (n, y, x) or (n, 1, y, x)" in str(error.value)


def test_numbers_that_cannot_be_used_are_named_without_warnings(segmentation):
    images, labels = discs(2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for bad in (np.nan, np.inf, 1e300):
            stack = images.astype(float)
            stack[1, 0, :2] = bad
            with pytest.raises(ValueError, match=r"array\[1\] has 2 numbers that are NaN, infinite or beyond float32"):
                segmentation.predict(stack)
            with pytest.raises(ValueError, match=r"images\[1\] has 2 numbers"):
                msd_gpu.train(stack, labels, task="segment", max_steps=1, **QUICK)
        for bad, named in ((0.5, "the label 0.5"), (np.inf, "the label inf"), (1e19, "the label 1")):
            wrong = labels.astype(float)
            wrong[1, 0, 0] = bad
            with pytest.raises(ValueError, match=rf"targets\[1\] has {named}"):
                msd_gpu.train(images, wrong, task="segment", max_steps=1, **QUICK)
        wrong = labels.astype("u8")
        wrong[1, 0, 0] = 2**63
        with pytest.raises(ValueError, match=r"targets\[1\] has the label 9223372036854775808"):
            msd_gpu.train(images, wrong, task="segment", max_steps=1, **QUICK)


def test_single_images_and_labels_of_other_shapes_are_refused():
    images, labels = discs(2)

    def train(*arguments, **settings):
        return msd_gpu.train(*arguments, **{"task": "segment", "max_steps": 1, **QUICK, **settings})

    for images_, labels_, parts in [
        (images[0], labels, ["images has the shape (24, 30)", "images[None]"]),
        (images, labels[0], ["targets has the shape (24, 30)", "targets[None]"]),
        (images, labels[:, None], ["targets[0] has the shape (1, 24, 30)", "(y, x)"]),
        (images[None, None], labels, ["images[0] has the shape (1, 2, 24, 30)"]),
        (images, labels[:, :, 1:], ["images[0] is 30 x 24 pixels but its target 29 x 24"]),
        (images, labels[:1], ["2 images but 1 targets"]),
        ([images[0], np.stack([images[1]] * 2)], labels, ["images[1] has 2 channels"]),
    ]:
        with pytest.raises(ValueError) as error:
            train(images_, labels_)
        assert all(part in str(error.value) for part in parts), error.value
    with pytest.raises(TypeError, match="images is an int; wanted a stack"):
        train(3, labels)
