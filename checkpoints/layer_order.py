"""What a file or a model says of the order of its layers: how its data flows, and how Keras lists its layers.

Layers of the same shapes can change places without any error; then only their names and their order tell them apart.
"""

from __future__ import annotations

from typing import Collection, Dict, Mapping, NamedTuple, Optional, Sequence, Tuple


class Step(NamedTuple):
    """The number of something in a list; `connected`, if it is the list of a connected model's layers.

    No layer of a connected model stands before one that it takes its input from, and models that are connected alike
    list their layers alike. Other lists are in the order in which somebody wrote down the parts of a layer.
    """

    number: int
    connected: bool


class Place(NamedTuple):
    """Where Keras lists a variable: in which model, on which way to its layer, and its own number in a layer."""

    model: str
    layer: Tuple[Step, ...]
    own: int = 0

    def inside(self, number: int, connected: bool) -> Place:
        """The place of what has that number in the list that is here."""
        return self._replace(layer=(*self.layer, Step(number, connected)))


class LayerOrder(NamedTuple):
    """The order of the layers of one side, as far as it is known, by the names of their variables.

    `bits` gives every variable the bit of its layer, and `upstream` the bits of all layers that its layer's input has
    gone through. `listed` says where Keras lists it.
    """

    bits: Mapping[str, int] = {}
    upstream: Mapping[str, int] = {}
    listed: Mapping[str, Place] = {}

    def of(self, layers: Sequence[Collection[str]]) -> Order:
        """The order among `layers`, each given by the names of its variables."""
        bits, upstream, listed = [], [], []
        for names in layers:
            mine = above = 0
            for name in names:
                mine |= self.bits.get(name, 0)
                above |= self.upstream.get(name, 0)
            bits.append(mine)
            upstream.append(above)
            places = [self.listed[name] for name in names if name in self.listed]
            listed.append(min(places) if places else None)
        return Order(tuple(bits), tuple(upstream), tuple(listed))


class Order(NamedTuple):
    """The order among some layers, which are given by their place in a sequence."""

    bits: Tuple[int, ...]
    upstream: Tuple[int, ...]
    listed: Tuple[Optional[Place], ...]

    def part(self, layers: Sequence[int]) -> Order:
        """The order among some of them."""
        return Order(
            tuple(self.bits[layer] for layer in layers),
            tuple(self.upstream[layer] for layer in layers),
            tuple(self.listed[layer] for layer in layers),
        )

    def flows(self) -> bool:
        """Whether it is known of every layer which others its data has gone through."""
        return bool(self.bits) and all(self.bits)

    def related(self) -> bool:
        """Whether the data of any has gone through another."""
        every = 0
        for bits in self.bits:
            every |= bits
        return any(above & every & ~bits for bits, above in zip(self.bits, self.upstream))

    def is_listed(self) -> bool:
        """Whether Keras lists every layer in the same model."""
        return len({place.model if place else None for place in self.listed} - {None}) == 1 and None not in self.listed

    def apart(self, one: int, other: int) -> bool:
        """Whether Keras lists two of them as different layers, not as parts of the same one."""
        return self._fork(one, other) is not None

    def connected(self, one: int, other: int) -> bool:
        """Whether it does so in the list of a connected model."""
        return self._fork(one, other) is True

    def _fork(self, one: int, other: int) -> bool | None:
        here, there = self.listed[one], self.listed[other]
        for step, other_step in zip(here.layer if here else (), there.layer if there else ()):
            if step != other_step:
                return step.connected and other_step.connected
        return None

    def feeds(self, one: int, other: int) -> bool:
        """Whether the data of layer `other` has gone through layer `one`, and not the other way round."""
        return bool(self.bits[one] & self.upstream[other]) and not self.bits[other] & self.upstream[one]

    def backwards(self, sequence: Sequence[int]) -> list[Tuple[int, int]]:
        """Pairs (earlier, later) in `sequence` of which the later feeds the earlier one."""
        found = []
        later = 0
        for place in range(len(sequence) - 1, -1, -1):
            layer = sequence[place]
            if self.upstream[layer] & later:
                found += [(layer, other) for other in sequence[place + 1 :] if self.feeds(other, layer)]
            later |= self.bits[layer]
        return found

    def by_depth(self) -> list[int]:
        """The layers, none before one that feeds it."""
        every = 0
        for bits in self.bits:
            every |= bits
        return sorted(range(len(self.bits)), key=lambda layer: bin(self.upstream[layer] & every).count("1"))

    def layers(self) -> list[list[int]] | None:
        """What Keras lists in the same layer, as it lists them; None if it does not list all."""
        if not self.is_listed():
            return None
        found: Dict[Tuple[Step, ...], list[int]] = {}
        for number in sorted(range(len(self.listed)), key=lambda number: self.listed[number] or Place("", ())):
            place = self.listed[number]
            found.setdefault(place.layer if place else (), []).append(number)
        return list(found.values())

    def steps(self) -> list[list[int]] | None:
        """The layers by how many others their data has gone through; None if that is not known of all."""
        if not self.flows():
            return None
        every = 0
        for bits in self.bits:
            every |= bits
        found: Dict[int, list[int]] = {}
        for number, above in enumerate(self.upstream):
            found.setdefault(bin(above & every).count("1"), []).append(number)
        return [found[depth] for depth in sorted(found)]
