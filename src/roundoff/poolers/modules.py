"""Learnable and stochastic pooling, as modules."""

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from roundoff.poolers import functional as P
from roundoff.poolers.windows import Size, pair, uniform, windows

LEAST_TEMPERATURE = 0.1


class _Pool(nn.Module):
    """Kernel, stride and generator, which every pooler has."""

    def __init__(
        self,
        kernel_size: Size = 2,
        stride: Size | None = None,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        self.kernel_size = pair(kernel_size, "kernel_size")
        self.stride = self.kernel_size if stride is None else pair(stride, "stride")
        self.generator = generator

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}"


class MixingPool2d(_Pool):
    """A learnt mixture of maximum and mean, one share per channel (0.5 at first)."""

    def __init__(
        self, channels: int, kernel_size: Size = 2, stride: Size | None = None
    ):
        super().__init__(kernel_size, stride)
        self.mix = nn.Parameter(torch.zeros(channels))

    @property
    def share(self) -> Tensor:
        """Share of the maximum, (C,)."""
        return torch.sigmoid(self.mix)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, OH, OW)."""
        return P.mixing_pool2d(x, self.mix, self.kernel_size, self.stride)


class GatedPool2d(_Pool):
    """As `MixingPool2d`, the share decided by each window (depthwise, with bias)."""

    def __init__(
        self, channels: int, kernel_size: Size = 2, stride: Size | None = None
    ):
        super().__init__(kernel_size, stride)
        rows, columns = self.kernel_size
        bound = (rows * columns) ** -0.5  # as a convolution of this fan-in starts
        self.weight = nn.Parameter(torch.empty(channels, rows, columns))
        self.bias = nn.Parameter(torch.empty(channels))
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, OH, OW)."""
        where = (self.kernel_size, self.stride)
        return P.gated_pool2d(x, self.weight, self.bias, *where)


class StochasticPool2d(_Pool):
    """One cell by chance in training, the expectation in evaluation."""

    def __init__(
        self,
        kernel_size: Size = 2,
        stride: Size | None = None,
        mode: P.Stochastic = "proportional",
        generator: torch.Generator | None = None,
    ):
        super().__init__(kernel_size, stride, generator)
        self.mode = mode

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, OH, OW)."""
        where = (self.kernel_size, self.stride, self.mode)
        return P.stochastic_pool2d(x, *where, self.training, self.generator)


class S3Pool2d(_Pool):
    """Rows and columns drawn at random after max pooling of stride 1."""

    def __init__(
        self,
        kernel_size: Size = 2,
        stride: Size | None = None,
        grid_size: int = 4,
        generator: torch.Generator | None = None,
    ):
        super().__init__(kernel_size, stride, generator)
        if grid_size < max(self.stride):
            raise ValueError(
                f"grid_size {grid_size} must be at least the stride {self.stride}"
            )
        self.grid_size = grid_size

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, OH, OW)."""
        where = (self.kernel_size, self.stride, self.grid_size)
        return P.s3_pool2d(x, *where, self.training, self.generator)


class TDGSPool2d(nn.modules.lazy.LazyModuleMixin, _Pool):
    """Temperature-driven Gumbel softmax, a temperature per channel and position.

    tau = relu(T) + 0.1, with T drawn around `initial_value` (plus or minus 0.5). The
    number of temperatures is that of the first input; other image sizes need another
    module, as the parameters belong to positions.
    """

    cls_to_become = None  # stays what it is once its parameters are known

    def __init__(
        self,
        kernel_size: Size = 2,
        stride: Size | None = None,
        initial_value: float = 1.0,
        generator: torch.Generator | None = None,
    ):
        super().__init__(kernel_size, stride, generator)
        self.initial_value = initial_value
        self.raw = UninitializedParameter()

    def initialize_parameters(self, x: Tensor) -> None:
        """Temperatures for the positions of this input."""
        if self.has_uninitialized_params():
            with torch.no_grad():
                shape = windows(x, self.kernel_size, self.stride).shape[1:4]
                self.raw.materialize(shape, device=x.device, dtype=x.dtype)
                drawn = uniform(shape, self.raw, self.generator)
                self.raw.copy_(self.initial_value - 0.5 + drawn)

    @property
    def temperature(self) -> Tensor:
        """Positive temperatures (C, OH, OW)."""
        return torch.relu(self.raw) + LEAST_TEMPERATURE

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, OH, OW)."""
        where = (self.kernel_size, self.stride)
        return P.tdgs_pool2d(x, self.temperature, *where, self.training, self.generator)


def make_pooler(
    name: str,
    channels: int,
    kernel_size: Size = 2,
    generator: torch.Generator | None = None,
    initial_temperature: float = 1.0,
) -> nn.Module:
    """A pooler by its name in `POOLERS`; stride as the kernel.

    Of equal maxima "max" takes the first, as PyTorch does.
    """
    makers = {
        "max": lambda: nn.MaxPool2d(kernel_size),
        "average": lambda: nn.AvgPool2d(kernel_size),
        "mixing": lambda: MixingPool2d(channels, kernel_size),
        "gated": lambda: GatedPool2d(channels, kernel_size),
        "stochastic": lambda: StochasticPool2d(kernel_size, generator=generator),
        "stochastic_softmax": lambda: StochasticPool2d(
            kernel_size, mode="softmax", generator=generator
        ),
        "s3": lambda: S3Pool2d(kernel_size, generator=generator),
        "tdgs": lambda: TDGSPool2d(
            kernel_size, initial_value=initial_temperature, generator=generator
        ),
    }
    if name not in makers:
        raise ValueError(f"unknown pooler {name!r}; known: {', '.join(makers)}")
    return makers[name]()
