"""Training of the demo segmentation networks: heads, generator, loss, loop."""
