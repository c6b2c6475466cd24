"""Which layers are steered, and how a strength is shared among them: pure arithmetic.

A place is an index (int, 0 is the first decoder block) or a fraction of the depth (float, 0.0 the first block, 1.0 the
last).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from doxa.words.errors import VectorError

Place = int | float
Kind = Literal["one", "block", "spread", "at", "every"]
Share = Literal["total", "each"]


@dataclass(frozen=True)
class Layers:
    """A rule that picks decoder blocks; `of(n_layers)` applies it to a model."""

    kind: Kind
    places: tuple[Place, ...] = ()
    width: int | None = None

    @classmethod
    def one(cls, place: Place) -> "Layers":
        """A single layer."""
        return cls("one", (place,))

    @classmethod
    def block(cls, *, end: Place, width: int) -> "Layers":
        """`width` contiguous layers, the last of which is `end`."""
        return cls("block", (end,), width)

    @classmethod
    def spread(cls, *, start: Place, end: Place, n: int) -> "Layers":
        """`n` layers spaced as evenly as indices allow from `start` to `end`, both included."""
        return cls("spread", (start, end), n)

    @classmethod
    def at(cls, places: Sequence[Place]) -> "Layers":
        """The layers listed."""
        return cls("at", tuple(places))

    @classmethod
    def every(cls) -> "Layers":
        """Every layer."""
        return cls("every")

    def of(self, n_layers: int) -> tuple[int, ...]:
        """Apply the rule to a model of `n_layers` decoder blocks.

        Returns:
            Ascending indices without repetition.

        Raises:
            VectorError: When a place lies outside the model, or the rule does not fit in it.
        """
        if self.kind == "every":
            return tuple(range(n_layers))
        indices = [_index(place, n_layers) for place in self.places]
        if self.kind in ("one", "at"):
            return tuple(sorted(set(indices)))
        if self.width is None or self.width < 1:
            raise VectorError(
                f"a {self.kind} of {self.width} layers",
                expected="at least one layer",
                way_out="Give it a width >= 1",
            )
        if self.kind == "block":
            first = indices[0] - self.width + 1
            if first < 0:
                raise VectorError(
                    f"a block of {self.width} layers that ends at layer {indices[0]} starts before the first layer",
                    way_out=f"Use a width of at most {indices[0] + 1} or a later end",
                )
            return tuple(range(first, indices[0] + 1))
        return _spread(indices[0], indices[1], self.width)


def strength_by_layer(strength: float, layers: Sequence[int], share: Share) -> dict[int, float]:
    """Share a strength among layers.

    Args:
        strength: The strength as written in the study.
        layers: Indices of the steered layers.
        share: `total` gives each of n layers strength / n; `each` gives every layer the whole strength.

    Returns:
        Strength by layer index.

    Raises:
        VectorError: When the strength is not finite or there is no layer.
    """
    if not math.isfinite(strength):
        raise VectorError(f"strength {strength}", expected="a finite number", way_out="Write a number such as 0.4")
    if not layers:
        raise VectorError("no layers to steer", expected="at least one", way_out="Name a layer or a block")
    each = strength / len(layers) if share == "total" else strength
    return dict.fromkeys(layers, each)


def _index(place: Place, n_layers: int) -> int:
    if isinstance(place, bool) or (isinstance(place, float) and not math.isfinite(place)):
        raise VectorError(
            f"layer {place}",
            expected="an index or a fraction of the depth",
            way_out="Write 12 or 0.5, for instance",
        )
    if isinstance(place, int):
        index = place
    else:
        if not 0.0 <= place <= 1.0:
            raise VectorError(
                f"layer {place}",
                expected="a fraction of the depth between 0.0 and 1.0, or a whole number",
                way_out="Write 0.5, or a whole number such as 12",
            )
        index = round(place * (n_layers - 1))
    if not 0 <= index < n_layers:
        raise VectorError(
            f"layer {place if abs(index) < 10**9 else 'of many digits'} of a model with {n_layers} layers",
            expected=f"an index from 0 to {n_layers - 1}, or a fraction from 0.0 to 1.0",
            way_out="Choose a layer that the model has",
        )
    return index


def _spread(start: int, end: int, n: int) -> tuple[int, ...]:
    if end - start + 1 < n:
        raise VectorError(
            f"{n} layers spread from layer {start} to layer {end}",
            expected=f"at most {max(end - start + 1, 0)} layers in that range",
            way_out="Widen the range or ask for fewer layers",
        )
    if n == 1:
        return (start,)
    return tuple(round(start + i * (end - start) / (n - 1)) for i in range(n))
