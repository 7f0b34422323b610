"""Kernels: matrix products and convolutions with every operation rounded by rule."""
