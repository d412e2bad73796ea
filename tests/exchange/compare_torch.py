"""Runs exported PyTorch modules. Needs torch and numpy."""

import importlib.util

import torch

from pairs import compare


def run(folder, images):
    specification = importlib.util.spec_from_file_location("exported", folder / "exported.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    network = module.MixedScaleDense()
    network.save(folder / "saved.safetensors")
    segments = '"segment"' in network.metadata["task"]
    for image in images:
        batch = torch.tensor(image)[None]
        outputs = network.probabilities(batch) if segments else network(batch)
        outputs.sum().backward()
        assert all(parameter.grad is not None for parameter in network.parameters())
        yield outputs[0].detach().numpy()


compare(run)
