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


def test_scores_of_volumes_are_for_files(of_volumes):
    images, labels = discs()
    with pytest.raises(ValueError, match="msd-gpu evaluate"):
        of_volumes.evaluate(images, labels)
