"""What a file or a model says of the order of its layers: how its data flows, and how Keras lists its layers.

Layers of the same shapes can change places without any error; then only their names and their order tell them apart.
"""

from __future__ import annotations

from typing import Collection, Dict, Mapping, NamedTuple, Optional, Sequence, Tuple


class Place(NamedTuple):
    """Where Keras lists a variable: in which list, its layer's place there, and its own within the layer.

    The order within a layer is that in which whoever wrote it made its parts, and says nothing of the data.
    """

    within: str
    layer: Tuple[int, ...]
    own: int = 0


class Listing(NamedTuple):
    """Where in a model something is that has layers or variables, on the way from the model to them.

    A layer of a connected model has a place there, and so have those of a connected model that it is. What is inside a
    layer of another kind has the place of that layer, and the order of its parts says nothing.
    """

    within: str = ""
    path: Tuple[int, ...] = ()
    parts: bool = True

    def layer(self, model: str, number: int) -> Listing:
        """The layer of that number of the connected `model` that is here."""
        if self.parts and self.path:
            return self
        return Listing(f"{self.within}/{model}" if self.parts else self.within, (*self.path, number), parts=False)

    def part(self) -> Listing:
        """Something in what is here, if it is no connected model."""
        return self._replace(parts=True)

    def place(self, own: int) -> Place:
        """The place of the variable that is the one of that number."""
        return Place(self.within, self.path, own)


class LayerOrder(NamedTuple):
    """The order of the layers of one side, as far as it is known, by the names of their variables.

    `bits` gives every variable the bit of its layer, and `upstream` the bits of all layers that its layer's input has
    gone through. `listed` says where Keras lists it: a layer never stands before one that it takes its input from, and
    models that are connected alike list their layers alike.
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

    def connected(self) -> bool:
        """Whether the data of any has gone through another."""
        every = 0
        for bits in self.bits:
            every |= bits
        return any(above & every & ~bits for bits, above in zip(self.bits, self.upstream))

    def is_listed(self) -> bool:
        """Whether Keras lists every layer in the same list."""
        return len({place.within if place else None for place in self.listed} - {None}) == 1 and None not in self.listed

    def apart(self, one: int, other: int) -> bool:
        """Whether Keras lists two of them as different layers, not as parts of the same one."""
        here, there = self.listed[one], self.listed[other]
        return here is not None and there is not None and here.layer != there.layer

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
        found: Dict[Tuple[int, ...], list[int]] = {}
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
