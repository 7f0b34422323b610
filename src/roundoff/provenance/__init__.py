"""Where results came from: inputs with checksums, and a research object of the run."""
