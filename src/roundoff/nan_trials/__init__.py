"""Time trials of the NaN operations against PyTorch's own."""
