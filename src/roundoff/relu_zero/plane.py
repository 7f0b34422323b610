"""The hyperplane of one neuron, seen from close up: where is its input exactly zero?

In exact arithmetic the weights at which a ReLU input w.x + b vanishes form a plane
without thickness. In float32 both the weights and the sum lie on grids: near the plane
the sign is a matter of rounding, and some weights give exactly zero.
"""

from dataclasses import dataclass
from functools import partial

import pandas as pd
import torch
import torch.nn.functional as F

from roundoff.data.classification import Split
from roundoff.errors import RoundoffError
from roundoff.relu_zero.bifurcation import ieee, initialised
from roundoff.relu_zero.data import in_order, scaled, tensors
from roundoff.relu_zero.draws import draw_seed
from roundoff.relu_zero.networks import mlp
from roundoff.relu_zero.sizes import BASE
from roundoff.relu_zero.under_rounding import random_rounding, zero_masks

POINTS, EXTENT = 121, 2e-7  # of the map; change of the ReLU input at its edge


@dataclass(frozen=True)
class Event:
    """An exact zero in the first layer: the image's pixels, the neuron's weights."""

    draw: int
    image: int
    neuron: int
    x: torch.Tensor  # (784,) float32
    weight: torch.Tensor  # (784,) float32
    bias: torch.Tensor  # () float32


def find_event(split: Split, seed: int, draws: int = 400) -> Event:
    """The first exact zero in the first layer of the draws of one hidden layer.

    Raises `RoundoffError` when none of the draws has one.
    """
    images, labels = tensors(split)
    images = scaled(images)
    for draw in range(draws):
        make = partial(mlp, (BASE["width"],), images[0].numel())
        network = initialised(make, draw_seed(seed, "layers", 1, draw), "float32")
        batches = in_order(images, labels, BASE["batch"])
        for number, (x, _) in enumerate(batches):
            found = zero_masks(network, x, ieee(number))[0].nonzero()
            if len(found):
                row, neuron = found[0].tolist()
                first = network[1]
                return Event(
                    draw,
                    number * BASE["batch"] + row,
                    neuron,
                    x[row].flatten(),
                    first.weight.detach()[neuron],
                    first.bias.detach()[neuron],
                )
    raise RoundoffError(f"no exact zero in the first layer among {draws} draws")


def plane_table(event: Event, seed: int = 0) -> pd.DataFrame:
    """ReLU input around the event, over two random directions of the weights.

    Columns: a, b (change of the input along each direction in exact arithmetic); and
    the input computed in float32, in float32 under random rounding, and in float64.
    The product of all points at once may be summed in another order than that in which
    the event was found, so its own point need not be zero again.
    """
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(2, len(event.x), generator=generator, dtype=torch.float64)
    x = event.x.double()
    # each direction alone changes the input by 1 per unit
    directions = directions / (directions @ x)[:, None]
    steps = torch.linspace(-EXTENT, EXTENT, POINTS, dtype=torch.float64)
    a, b = (t.flatten() for t in torch.meshgrid(steps, steps, indexing="xy"))
    moved = event.weight.double() + torch.stack([a, b], 1) @ directions
    single = (event.x[None], moved.float(), event.bias.expand(len(a)))
    with random_rounding(seed)(0), torch.no_grad():
        rounded = F.linear(*single)[0]
    double = F.linear(x[None], moved, event.bias.double().expand(len(a)))[0]
    columns = {"float32": F.linear(*single)[0], "random": rounded, "float64": double}
    return pd.DataFrame({"a": a, "b": b} | {n: z.double() for n, z in columns.items()})
