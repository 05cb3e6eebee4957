"""The words and the numbers in names of layers, and the order that numbers give.

`layer_1/dense` says what `layer_1_dense` does, and `dense` is number 0 of its series. The two directions of a
bidirectional layer are its parts 1 and 2, whatever each release calls them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Dict, Iterable, NamedTuple, Sequence, Tuple

from .numbering import split_number

Parts = Tuple[str, ...]
_DIRECTIONS = {"fw": 1, "forward": 1, "bw": 2, "backward": 2}


class Word(NamedTuple):
    """A word of a name without the numbers behind it: `conv1_2` is `conv` with (1, 2)."""

    stem: str
    numbers: tuple[int, ...]


class Ending(NamedTuple):
    """The last `components` components of a name, joined, and how many words they are."""

    text: str
    words: int
    components: int


class Level(NamedTuple):
    """A number that tells members of a series apart: behind which word, and into how many of them it parts each."""

    stem: str
    sizes: tuple[int, ...]


class Series(NamedTuple):
    """Names that differ in numbers alone, as places in the sequence they came in, in the order of the numbers."""

    order: tuple[int, ...]
    levels: tuple[Level, ...]


@lru_cache(maxsize=65536)
def words(name: Parts) -> tuple[Word, ...]:
    """The words of a name with their numbers, without zeros at the end."""
    found: list[tuple[str, list[int]]] = []
    for part in "_".join(name).split("_"):
        if part.lower() in _DIRECTIONS:
            found.append(("part", [_DIRECTIONS[part.lower()]]))
            continue
        stem, number = split_number(part)
        if stem or not found:
            found.append((stem, []))
        if number is not None:
            found[-1][1].append(number)
    return tuple(Word(stem, _without_zeros(numbers)) for stem, numbers in found)


def _without_zeros(numbers: list[int]) -> tuple[int, ...]:
    while numbers and not numbers[-1]:
        numbers = numbers[:-1]
    return tuple(numbers)


def directions(name: Parts) -> tuple[int, ...]:
    """Which of the two directions of a bidirectional layer a name says: 1 forward, 2 backward; nothing for others."""
    found = (_DIRECTIONS.get(word.lower()) for part in name for word in part.split("_"))
    return tuple(direction for direction in found if direction is not None)


def before_direction(name: Parts) -> Parts:
    """What precedes the component of a name that says in which direction a layer runs; all of it if none does."""
    return next((name[:place] for place in range(len(name)) if directions(name[place : place + 1])), name)


def opposed(name: Parts, other: Parts) -> bool:
    """Whether one of two names says that a layer runs forward where the other one says backward."""
    mine, theirs = directions(name), directions(other)
    return bool(mine and theirs) and mine != theirs


def stems(name: Parts) -> tuple[str, ...]:
    """The words of a name without their numbers."""
    return tuple(word.stem for word in words(name))


def shared_end(name: Sequence[str], other: Sequence[str]) -> int:
    """How many of the last words (or components) are the same."""
    count = 0
    for mine, theirs in zip(reversed(name), reversed(other)):
        if mine != theirs:
            break
        count += 1
    return count


def ends_alike(name: Parts, other: Parts) -> bool:
    """Whether one name ends in all words and numbers of the other."""
    shared = min(len(words(name)), len(words(other)))
    return words(name)[-shared:] == words(other)[-shared:]


def endings(name: Parts) -> list[Ending]:
    """What a name ends in, the longest first, each beginning where a component does.

    Keras 3 takes no slash in a layer's name, so that what was `layer_0/attention/self` is mostly called
    `layer_0_attention_self` there; both end in the same.
    """
    found = []
    for place in range(len(name)):
        text = "_".join(name[place:])
        found.append(Ending(text, text.count("_") + 1, len(name) - place))
    return found


_LEAF = re.compile(
    r"(?P<stem>kernel|recurrent_kernel|bias|weights?|biases|[wWbB]|gamma|beta|moving_mean|moving_variance|embeddings"
    r"|depthwise_kernel|pointwise_kernel)(?:_(?P<number>[0-9]{1,6}))?"
)


def numbered_parts(names: Iterable[str]) -> Dict[str, str]:
    """Names with a scope for each layer, where layers have none and their variables are numbered instead.

    `both/kernel`, `both/bias`, `both/kernel_1`, `both/bias_1` are `both/part_1/kernel`, ..., `both/part_2/bias`: both
    directions of a bidirectional layer in early releases of Keras, forward first; the cells of a stack; or what was
    made without names, one layer after the other. Only where all the variables of a scope have the same numbers.
    """
    scopes: Dict[str, Dict[str, Dict[int, str]]] = {}
    for name in names:
        scope, _, leaf = name.rpartition("/")
        match = _LEAF.fullmatch(leaf)
        if match is not None:
            number = int(match.group("number") or 0)
            scopes.setdefault(scope, {}).setdefault(match.group("stem"), {})[number] = name
    found = {}
    for scope, leaves in scopes.items():
        numbers = {frozenset(numbered) for numbered in leaves.values()}
        if len(leaves) > 1 and len(numbers) == 1 and len(next(iter(numbers))) > 1:
            for stem, numbered in leaves.items():
                for number, name in numbered.items():
                    found[name] = "/".join(filter(None, (scope, f"part_{number + 1}", stem)))
    return found


def series(names: Sequence[Parts]) -> Series | None:
    """The order that numbers give to names; None if they differ in more than that, or their numbers contradict.

    The first number counts most. Numbers behind it that are all different are counted through the whole series
    (`time_distributed_1/dense_7`), and must not fall; others begin anew for each member (`block_2/conv_1`).
    """
    told = [words(name) for name in names]
    if not told or len({tuple(word.stem for word in each) for each in told}) > 1:
        return None
    columns = []
    for place, word in enumerate(told[0]):
        depth = max(len(each[place].numbers) for each in told)
        for slot in range(depth):
            columns.append((word.stem, [_at(each[place].numbers, slot) for each in told]))
    vectors = list(zip(*(column for _, column in columns))) or [()] * len(told)
    if len(set(vectors)) < len(vectors):
        return None
    order = sorted(range(len(vectors)), key=vectors.__getitem__)
    levels = []
    groups = [order]
    for stem, column in columns:
        refined = _refine(groups, column)
        if len(refined) > len(groups):
            levels.append(Level(stem, tuple(map(len, refined))))
            groups = refined
        values = [column[member] for member in order]
        if len(set(values)) == len(values) and values != sorted(values):
            return None
    return Series(tuple(order), tuple(levels))


def _at(numbers: tuple[int, ...], slot: int) -> int:
    return numbers[slot] if slot < len(numbers) else 0


def _refine(groups: list[list[int]], column: Sequence[int]) -> list[list[int]]:
    refined = []
    for group in groups:
        parts: Dict[int, list[int]] = {}
        for member in group:
            parts.setdefault(column[member], []).append(member)
        refined += list(parts.values())
    return refined


def by_number(names: Sequence[Parts], others: Sequence[Parts]) -> list[tuple[int, int]] | None:
    """Pairs of places in `names` and `others` that have the same rank in their series; None if that says nothing.

    Where several numbers tell the members apart, both series must be nested alike: what is `tower_0/fc_1` on one side
    and `fc_1_tower_0` on the other does not come in the same order.
    """
    mine, theirs = series(names), series(others)
    if mine is None or theirs is None or len(names) != len(others) or not _nested_alike(mine.levels, theirs.levels):
        return None
    return list(zip(mine.order, theirs.order))


def _nested_alike(mine: Sequence[Level], theirs: Sequence[Level]) -> bool:
    if len(mine) != len(theirs):
        return False
    if len(mine) < 2:
        return True
    differ = sum(one.stem != other.stem for one, other in zip(mine, theirs))
    return differ <= 1 and all(one.sizes == other.sizes for one, other in zip(mine, theirs))


def by_names(names: Sequence[Parts], others: Sequence[Parts]) -> list[tuple[int, int]]:
    """Pairs of places in `names` and `others` that words single out, and within series the numbers.

    Series belong together that consist of the same words, or share more of those that tell them apart than either does
    with any other; and what is left if it is one series on either side.
    """
    mine, theirs = _by_stems(names), _by_stems(others)
    pairs: list[tuple[int, int]] = []
    complete = True
    found = [(one, one) for one in mine if one in theirs]
    while mine and theirs:
        found = found or _most_alike(mine, theirs)
        if not found and complete and len(mine) == len(theirs) == 1:
            found = [(next(iter(mine)), next(iter(theirs)))]
        if not found:
            break
        for one, other in found:
            places, places_there = mine.pop(one), theirs.pop(other)
            ranked = by_number([names[place] for place in places], [others[place] for place in places_there])
            complete = complete and ranked is not None
            pairs += [(places[rank], places_there[rank_there]) for rank, rank_there in ranked or ()]
        found = []
    return pairs


def _by_stems(names: Sequence[Parts]) -> Dict[Parts, list[int]]:
    found: Dict[Parts, list[int]] = {}
    for place, name in enumerate(names):
        found.setdefault(stems(name), []).append(place)
    return found


def _most_alike(mine: Dict[Parts, list[int]], theirs: Dict[Parts, list[int]]) -> list[tuple[Parts, Parts]]:
    """The pairs that share more of the words that tell them apart than either shares with any other.

    A word that all have on one side, such as those of a name that Keras made up, tells nothing apart.
    """
    everywhere = set.intersection(*map(set, mine)) | set.intersection(*map(set, theirs))
    having: Dict[str, list[Parts]] = {}
    for other in theirs:
        for word in set(other) - everywhere:
            having.setdefault(word, []).append(other)
    shared: Dict[tuple[Parts, Parts], int] = {}
    for one in mine:
        for word in set(one) - everywhere:
            for other in having.get(word, ()):
                shared[one, other] = shared.get((one, other), 0) + 1
    best: Dict[tuple[bool, Parts], list[int]] = {}
    for (one, other), count in shared.items():
        best.setdefault((False, one), []).append(count)
        best.setdefault((True, other), []).append(count)
    return [
        (one, other)
        for (one, other), count in shared.items()
        if all(max(best[key]) == count and best[key].count(count) == 1 for key in ((False, one), (True, other)))
    ]
