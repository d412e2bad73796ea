#!/usr/bin/env python3
"""What people use today with brush strokes: a random forest on filter responses at several scales, as ilastik, Labkit and Weka do.

  forest.py LABELS IMAGE [IMAGE ...]

LABELS are the bytes of the first image's labels, row by row, 255 where nothing is labelled. Writes the class of each pixel of all images
to standard output, a byte a pixel. Needs numpy, scipy, scikit-learn and tifffile.
"""
import sys

import numpy as np
import tifffile
from scipy import ndimage
from sklearn.ensemble import RandomForestClassifier

SCALES = (0.7, 1, 1.6, 3.5, 5, 10)


def features(image):
    """The image, and at each scale Gaussian, Laplacian, gradient magnitude and the eigenvalues of the Hessian: [pixel][feature]."""
    image = image.astype("f4").squeeze()
    image = (image - image.mean()) / (image.std() + 1e-6)
    found = [image]
    for scale in SCALES:
        found += [
            ndimage.gaussian_filter(image, scale),
            ndimage.gaussian_laplace(image, scale),
            ndimage.gaussian_gradient_magnitude(image, scale),
        ]
        yy, xx, xy = (ndimage.gaussian_filter(image, scale, order=order) for order in ((2, 0), (0, 2), (1, 1)))
        middle, spread = (yy + xx) / 2, np.sqrt(((yy - xx) / 2) ** 2 + xy**2)
        found += [middle + spread, middle - spread]
    return np.stack(found, -1).reshape(-1, len(found))


labels, *images = sys.argv[1:]
labels = np.fromfile(labels, "u1")
all_features = [features(tifffile.imread(path)) for path in images]
known = labels != 255
forest = RandomForestClassifier(100, n_jobs=-1, random_state=0).fit(all_features[0][known], labels[known])
for one in all_features:
    sys.stdout.buffer.write(forest.predict(one).astype("u1").tobytes())
