//! Whole images and tiles through a trained model.
