"""Layers that could change places, as they have the same shapes: which go together, by their names and their order.

Nothing but names and order tells such layers apart, and the two may contradict each other: numbers that are shifted on
one side, or that do not follow the data. Then neither is taken, unless all that is known of the order agrees.
"""

from __future__ import annotations

from typing import Callable, Dict, Iterator, NamedTuple, Sequence, Tuple

from .layer_order import LayerOrder, Order
from .names import Parts, before_direction, by_names, directions, ends_alike, opposed, series, stems

Pairs = Sequence[Tuple[int, int]]


class Side(NamedTuple):
    """A layer of the file or of the model: its name, and the names of its tensors or variables."""

    name: Parts
    variables: Tuple[str, ...]


class Resolution(NamedTuple):
    """Pairs of places in two sequences of layers, in which order they are, and whether nothing contradicts it.

    Without being sure, pairs are what to suggest; none where nothing tells the layers apart.
    """

    pairs: Pairs = ()
    why: str = ""
    sure: bool = False


class Evidence:
    """What is known of the order of the layers of a file and of a model."""

    def __init__(self, file: Callable[[], LayerOrder], model: LayerOrder) -> None:
        self._read_file = file
        self._file: LayerOrder | None = None
        self._model = model

    def _compare(self, sources: Sequence[Side], targets: Sequence[Side]) -> _Comparison:
        if self._file is None:
            # Reading it may take a second, and most files have nothing that it is needed for.
            self._file = self._read_file()
        file = self._file.of([source.variables for source in sources])
        return _Comparison(sources, targets, file, self._model.of([target.variables for target in targets]))

    def resolve(self, sources: Sequence[Side], targets: Sequence[Side]) -> Resolution:
        """Which layers go together, all of them being alike."""
        return self._compare(sources, targets).resolve()

    def contradiction(self, sources: Sequence[Side], targets: Sequence[Side]) -> list[int]:
        """The places of pairs of layers that cannot all go together, each source with the target at its place."""
        return sorted(self._compare(sources, targets).offenders())


_BY_DATA = "in the order in which data goes through them"
_AS_LISTED = "in the order in which Keras lists them"
_BY_NUMBER = "by their order"
_BY_NAME = "by their names"


class _Comparison(NamedTuple):
    """Layers of the file and of the model, with the order of either."""

    sources: Sequence[Side]
    targets: Sequence[Side]
    file: Order
    model: Order

    def resolve(self) -> Resolution:
        """Which of them go together."""
        names = by_names([source.name for source in self.sources], [target.name for target in self.targets])
        pairs, why, trust = self._in_order()
        if pairs and set(names) <= set(pairs):
            if trust >= _LIKELY or len(names) == len(pairs):
                return Resolution(pairs, why, trust == _CERTAIN or len(names) == len(pairs))
        elif pairs:
            # A number is a matter of who was built first, but how its data flows is what a model computes. Only where
            # all names are the same may they be meant.
            same = {source.name for source in self.sources} == {target.name for target in self.targets}
            known = trust >= _LIKELY and self._same_words(names, pairs)
            return Resolution(pairs, why, trust == _CERTAIN and not same) if known else Resolution()
        if self.paired(names).offenders():
            return Resolution()
        one = len({stems(source.name) for source in self.sources}) == 1
        return Resolution(names, _BY_NUMBER if one else _BY_NAME)

    def _in_order(self) -> tuple[Pairs, str, int]:
        """Pairs in the order of either side, which order that is, and how far it can be trusted.

        No pairs where one of the orders is not known.
        """
        if len(self.sources) != len(self.targets):
            return (), "", 0
        listed, listed_there = _listing(self.file, self.sources), _listing(self.model, self.targets)
        flow, flow_there = _chain(self.file, self.sources), _chain(self.model, self.targets)
        trust = min(listed.trust, listed_there.trust)
        if trust == _CERTAIN and not flow_there:
            # What is connected side by side is listed alike only if it is alike.
            trust = _LIKELY
        for here, there, why, sure in (
            (listed.layers, listed_there.layers, _BY_DATA if trust == _CERTAIN else _AS_LISTED, trust),
            (flow, flow_there, _BY_DATA, _CERTAIN),
        ):
            pairs = list(zip(here, there))
            if pairs and not any(opposed(self.sources[one].name, self.targets[other].name) for one, other in pairs):
                return pairs, why, sure
        return (), "", 0

    def paired(self, pairs: Pairs) -> _Comparison:
        """Those alone that are in `pairs`, each source at the place of its target."""
        here, there = [one for one, _ in pairs], [other for _, other in pairs]
        return _Comparison(
            [self.sources[one] for one in here],
            [self.targets[other] for other in there],
            self.file.part(here),
            self.model.part(there),
        )

    def _same_words(self, names: Pairs, pairs: Pairs) -> bool:
        """Whether `pairs` say the same as `names` but for the numbers in names."""
        to = dict(pairs)
        return all(stems(self.targets[to[one]].name) == stems(self.targets[other].name) for one, other in names)

    def offenders(self) -> set[int]:
        """The places of pairs whose order on one side contradicts that on the other, or their own numbers."""
        found = {*self._against_the_data(), *self._against_the_lists(), *self._misnumbered()}
        directed = (opposed(source.name, target.name) for source, target in zip(self.sources, self.targets))
        return found | {place for place, wrong in enumerate(directed) if wrong}

    def _against_the_data(self) -> Iterator[int]:
        """Pairs whose data flows, or may flow, one way in the file and the other way in the model."""
        file, model = self.file, self.model
        if file.flows() and model.flows():
            for pair in file.backwards([layer for step in model.steps() or () for layer in step]):
                if model.feeds(*pair):
                    yield from pair
        for order, flow in ((file, model), (model, file)):
            listed = [number for layer in order.layers() or () for number in layer] if flow.flows() else []
            for pair in flow.backwards(listed):
                if order.connected(*pair):
                    wrong = not order.flows()
                else:
                    # Who calls layers in another order than that of their attributes knows them by their names.
                    wrong = order.apart(*pair) and not all(map(self._says_the_same, pair))
                if wrong:
                    yield from pair

    def _against_the_lists(self) -> Iterator[int]:
        """Pairs that Keras lists in one order in the file and in another one in the model.

        Names that are the same and differ in more than numbers were given on purpose.
        """
        listed, listed_there = self.file.layers(), self.model.layers()
        if not listed or not listed_there:
            return
        ordered = [number for layer in listed for number in layer]
        ranks = {place: rank for rank, place in enumerate(number for layer in listed_there for number in layer)}
        for places in [[place for place in ordered if not self._same_name(place)], *self._series()]:
            members = set(places)
            places = [place for place in ordered if place in members]
            for pair in zip(places, places[1:]):
                if ranks[pair[0]] > ranks[pair[1]] and self.file.apart(*pair) and self.model.apart(*pair):
                    yield from pair

    def _series(self) -> Iterator[list[int]]:
        """The places of those whose names differ in numbers alone, on either side."""
        groups: Dict[Tuple[Parts, Parts], list[int]] = {}
        for place, (source, target) in enumerate(zip(self.sources, self.targets)):
            groups.setdefault((stems(source.name), stems(target.name)), []).append(place)
        return iter(groups.values())

    def _same_name(self, place: int) -> bool:
        return self.sources[place].name == self.targets[place].name

    def _says_the_same(self, place: int) -> bool:
        return ends_alike(self.sources[place].name, self.targets[place].name)

    def _misnumbered(self) -> Iterator[int]:
        """Series whose numbers do not follow the data, where the other side does not tell how its own flows."""
        for places in self._series():
            file, model = self.file.part(places), self.model.part(places)
            sources, targets = [self.sources[place] for place in places], [self.targets[place] for place in places]
            listing, there = _listing(file, sources).layers, _listing(model, targets).layers
            same = all(map(self._same_name, places))
            numbered = series([target.name for target in targets])
            if numbered and not file.flows() and not listing:
                # The file has nothing but numbers: the model's own must count its layers as they flow or are listed.
                if model.backwards(numbered.order) or (there and tuple(there) != numbered.order and not same):
                    yield from places
            numbered = series([source.name for source in sources])
            if numbered and not model.related() and not same:
                against = file.backwards(numbered.order) or (listing and tuple(listing) != numbered.order)
                if against and (not there or file.backwards(there) or (listing and listing != there)):
                    yield from places


_ATTRIBUTES, _LIKELY, _CERTAIN = range(3)


class _Listing(NamedTuple):
    """Layers as Keras lists them, and how far that is the order of the data; none if it is not known."""

    layers: Sequence[int] = ()
    trust: int = _CERTAIN


def _listing(order: Order, sides: Sequence[Side]) -> _Listing:
    """How Keras lists the layers.

    What it keeps within one layer comes in another order where a part of it was not trainable: the numbers of its names
    must not contradict it.
    """
    found: list[int] = []
    trust = _CERTAIN
    for layer in order.layers() or ():
        numbered = series([sides[number].name for number in layer])
        if len(layer) > 1 and (numbered is None or list(numbered.order) != list(range(len(layer)))):
            both = _both_directions(layer, sides)
            if not both and numbered is not None:
                return _Listing()
            trust = trust if both else min(trust, _LIKELY)
            layer = both or layer
        found += layer
    for one, other in zip(found, found[1:]):
        if order.apart(one, other) and not order.connected(one, other) and not _is_pair(sides[one], sides[other]):
            trust = _ATTRIBUTES
    return _Listing(found, trust)


def _is_pair(one: Side, other: Side) -> bool:
    """Whether these are the two directions of the same layer."""
    return opposed(one.name, other.name) and before_direction(one.name) == before_direction(other.name)


def _chain(order: Order, sides: Sequence[Side]) -> list[int]:
    """The layers in the order in which data goes through one after the other; none if it does not.

    The two directions of a bidirectional layer count as one after the other.
    """
    found: list[int] = []
    before: list[int] = []
    for step in order.steps() or ():
        if not all(order.feeds(one, other) for one in before for other in step):
            return []
        before = step if len(step) == 1 else _both_directions(step, sides)
        if not before:
            return []
        found += before
    return found


def _both_directions(numbers: Sequence[int], sides: Sequence[Side]) -> list[int]:
    """The two directions of one bidirectional layer, forward first; nothing if these are other layers."""
    told = {directions(sides[number].name): number for number in numbers}
    above = {before_direction(sides[number].name) for number in numbers}
    if len(numbers) != 2 or len(above) != 1 or sorted(told) != [(1,), (2,)]:
        return []
    return [told[1,], told[2,]]
