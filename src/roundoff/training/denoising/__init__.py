"""Training of the demo denoiser: clean volumes, added noise, loop, quality."""
