"""Training of the demo registration: label maps, contrasts, loss, loop, quality."""
