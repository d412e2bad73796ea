"""Learns to denoise with two networks, and says how good their mean is and where they disagree."""

import logging

import msd_gpu
import numpy as np

logging.basicConfig(level=logging.INFO)  # a line for each epoch

noisy = np.load("noisy.npy")  # (n, y, x)
clean = np.load("clean.npy")  # (n, y, x), of the same size
kept = len(noisy) // 5  # images that are not trained on

models = []
for seed in (1, 2):
    try:
        model = msd_gpu.train(noisy[kept:], clean[kept:], task="regress", max_minutes=10, seed=seed)
    except msd_gpu.TrainingInterrupted as stopped:  # Ctrl-C: take what has been learnt so far
        if stopped.model is None:
            raise
        model = stopped.model
    models.append(model)

ensemble = msd_gpu.Ensemble(models, tta=True)
scores = ensemble.evaluate(noisy[:kept], clean[:kept])
print(f"PSNR {scores['input']['psnr']:.1f} dB before and {scores['output']['psnr']:.1f} dB after")
for epoch in models[0].history[-3:]:
    print(f"epoch {epoch['epoch']}: training loss {epoch['training_loss']:.4f}")

found = ensemble.uncertainty(noisy[:kept])
np.savez("denoised.npz", mean=found["mean"], deviation=found["deviation"])
