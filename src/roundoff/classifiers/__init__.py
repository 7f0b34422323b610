"""Classifiers with NaN pooling: accuracy against threshold, tolerance, precision."""
