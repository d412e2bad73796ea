"""Runs exported ONNX files in onnxruntime. Needs numpy and onnxruntime."""

import onnxruntime

from pairs import compare


def run(folder, images):
    session = onnxruntime.InferenceSession(folder / "exported.onnx", providers=["CPUExecutionProvider"])
    for image in images:
        [outputs] = session.run(None, {"image": [image, image[:, ::-1]]})
        # The second image of the batch shows that images do not mix.
        [alone] = session.run(None, {"image": [image[:, ::-1]]})
        assert abs(outputs[1] - alone[0]).max() <= 1e-5 * abs(alone).max()
        yield outputs[0]


compare(run)
