"""From a shape to the network of its mapping: the one place where networks are chosen."""

from shared.nn.generator import Generator
from shared.nn.network import Network
from shared.nn.spec import NetworkSpec, Shape

AnyNetwork = Network | Generator


def make_network(spec: NetworkSpec, shape: Shape) -> AnyNetwork:
    """A freshly initialised network; its randomness is torch's global generator."""
    return Generator(spec, shape) if shape.generates else Network(spec, shape)
