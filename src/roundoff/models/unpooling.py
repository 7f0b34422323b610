"""Max-unpooling that PyTorch's deterministic mode accepts."""

from collections.abc import Sequence

from torch import Tensor, nn


class MaxUnpool2d(nn.MaxUnpool2d):
    """`torch.nn.MaxUnpool2d` for indices that never repeat.

    PyTorch refuses its own operator under `torch.use_deterministic_algorithms`, since
    repeated indices make the result depend on the order of writing. Pooling windows
    that do not overlap (stride = kernel size) give every index once, so a scatter
    carries the same values and is deterministic. Same arguments, same results.
    """

    def forward(
        self, x: Tensor, indices: Tensor, output_size: Sequence[int] | None = None
    ) -> Tensor:
        """(N, C, h, w) and indices of the same shape to (N, C, H, W)."""
        if self.kernel_size != self.stride:
            return super().forward(x, indices, output_size)
        scale = self.kernel_size
        rows, columns = scale if isinstance(scale, tuple) else (scale, scale)
        default = (x.shape[-2] * rows, x.shape[-1] * columns)
        height, width = default if output_size is None else output_size[-2:]
        flat = x.new_zeros(*x.shape[:2], height * width)
        flat.scatter_(2, indices.flatten(2), x.flatten(2))
        return flat.unflatten(2, (height, width))
