"""FONDUE: denoising of T1-weighted slices by a UNet++ with maxout fusion."""
