"""Networks of three dimensions on arrays: an array is one volume."""

import msd_gpu
import numpy as np
import pytest
from conftest import QUICK, discs


@pytest.fixture(scope="module")
def of_volumes():
    images, labels = discs()
    return msd_gpu.train(images, labels, task="segment", dimensions=3, max_steps=30, **QUICK)


def test_an_array_is_predicted_as_a_file_of_the_same_volume(of_volumes, tmp_path):
    images, _ = discs(6)
    labels = of_volumes.predict(images)
    assert (labels.shape, labels.dtype) == (images.shape, np.uint8)
    np.save(tmp_path / "v.npy", images)
    of_volumes.apply(tmp_path / "v.npy", tmp_path / "out", format="npy")
    assert np.array_equal(np.load(tmp_path / "out" / "v.npy"), labels)
    probabilities = of_volumes.predict(images, probabilities=True)
    assert probabilities.shape == (6, 2, *images.shape[1:])
    assert np.array_equal(np.array([2, 7])[probabilities.argmax(1)], labels)
    out = np.zeros(images.shape, np.uint16)
    of_volumes.predict(images, out=out)
    assert np.array_equal(out, labels)


def test_slices_see_those_beside_them_and_one_alone_is_a_volume(of_volumes):
    images, _ = discs(6)
    whole = of_volumes.predict(images, probabilities=True)
    alone = of_volumes.predict(images[2], probabilities=True)
    assert alone.shape == whole[2].shape
    assert not np.allclose(alone, whole[2])


def test_tiles_give_what_the_whole_gives(of_volumes, tmp_path):
    images, _ = discs(20)
    of_volumes.save(tmp_path / "m.safetensors")
    tiled = msd_gpu.Model.load(tmp_path / "m.safetensors", device="cpu", tile=9)
    whole = of_volumes.predict(images, probabilities=True)
    np.testing.assert_allclose(tiled.predict(images, probabilities=True), whole, atol=1e-5)


def test_ensembles_of_volumes_say_how_sure_they_are(of_volumes):
    images, _ = discs(5)
    found = msd_gpu.Ensemble([of_volumes, of_volumes]).uncertainty(images)
    assert found["mean"].shape == (5, 2, *images.shape[1:])
    assert found["entropy"].shape == images.shape
    assert not found["deviation"].any()


def test_several_volumes_are_learnt_from_as_files_of_them_are(tmp_path):
    images, labels = discs(12)
    volumes, targets = [images[:7], images[7:]], [labels[:7], labels[7:]]
    train = dict(task="segment", dimensions=3, max_steps=6, crop=5, **{name: value for name, value in QUICK.items() if name != "crop"})
    several = msd_gpu.train(volumes, targets, **train)
    # In one piece they are another set, as a volume sees across the border.
    one = msd_gpu.train(images, labels, **train)
    parameters = lambda model: model.predict(images, probabilities=True)
    assert np.array_equal(parameters(several), parameters(msd_gpu.train(volumes, targets, **train)))
    assert not np.array_equal(parameters(several), parameters(one))
    with pytest.raises(ValueError, match=r"images\[1\] has 5 slices but targets\[1\] has 4"):
        msd_gpu.train(volumes, [labels[:7], labels[7:11]], **train)


def test_several_volumes_of_values_are_lists_of_arrays():
    images, _ = discs(8)
    train = dict(task="regress", dimensions=3, max_steps=2, **QUICK)
    volumes = [images[:5], images[5:]]
    model = msd_gpu.train(volumes, volumes, **train)
    assert model.predict(images).shape == images.shape
    # Slices with channels come as one array.
    channels = np.stack([images, 255 - images], 1)
    assert msd_gpu.train(channels, channels, **train).predict(channels).shape == channels.shape
    with pytest.raises(ValueError, match="2 volumes in images but 1 in targets"):
        msd_gpu.train(volumes, volumes[:1], **train)
    with pytest.raises(ValueError, match=r"images\[0\] has the shape \(24, 30\); wanted a volume"):
        msd_gpu.train(list(images), volumes, **train)


def test_slices_that_nobody_labelled_stay_between_those_that_are():
    images, labels = discs(9)
    sparse = labels.astype(float)
    sparse[1::2] = np.nan
    train = dict(task="segment", dimensions=3, max_steps=4, **QUICK)
    weights = np.ones(images.shape)
    weights[1::2] = 0
    probabilities = lambda model: model.predict(images, probabilities=True)
    found = probabilities(msd_gpu.train(images, sparse, **train))
    assert np.array_equal(found, probabilities(msd_gpu.train(images, labels, weights=weights, **train)))
    assert not np.array_equal(found, probabilities(msd_gpu.train(images[::2], labels[::2], **train)))


def test_volumes_are_scored_as_their_predictions_are(of_volumes):
    images, labels = discs(6)
    found = of_volumes.predict(images)
    report = of_volumes.evaluate(images, labels)
    assert report["images"] == 1
    assert report["global_accuracy"] == pytest.approx((found == labels).mean(), abs=1e-9)
    several = of_volumes.evaluate([images, images[:3]], [labels, labels[:3]])
    assert several["images"] == 2
