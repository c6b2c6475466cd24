"""Keys and values of the tokens so far, and attention of one more token over them.

Keys stand with their positions last, as the product with a query reads them, and the query heads that share a head of
keys ask together. A step's attention is then two batches of small products, on a CPU faster than torch's attention
where there are many rows (`benchmarks/step_attention.py`). Keys stand in float32, whatever the model's dtype: a
score that is rounded to bfloat16 is wrong by its size, which biases of keys can make large.
"""

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

_GROWTH = 64  # positions by which a store is enlarged at least
_STEP = 32  # products are made for so many positions more at a time: each new shape costs a step a kernel of its own


class KeyValues:
    """What a step reads and writes, for every block.

    Attributes:
        length: Positions that are taken.
    """

    def __init__(self, length: int, keys: Iterable[Tensor], values: Iterable[Tensor]) -> None:
        """Begin with the keys and values of prompts, for every block [rows, key heads, length, width of a head].

        They are taken one after the other, so what makes them need not hold all of them.
        """
        self.length = length
        self._keys = [_with_room(one.float().transpose(2, 3), 3) for one in keys]
        self._values = [_with_room(one, 2) for one in values]

    @property
    def nbytes(self) -> int:
        """Bytes of the positions that are taken."""
        room = self._values[0].shape[2]
        return sum(one.nbytes for one in (*self._keys, *self._values)) * self.length // room

    def grow(self) -> None:
        """Make room for one more position, and take it."""
        if self.length == self._values[0].shape[2]:
            self._keys = [_with_room(one, 3) for one in self._keys]
            self._values = [_with_room(one, 2) for one in self._values]
        self.length += 1

    @property
    def _asked(self) -> int:
        """Positions that are asked: those that are taken, and a few that are hidden."""
        return _up(self.length)

    def hidden(self, mask: Bool[Tensor, "rows length"]) -> Float[Tensor, "pairs 1 asked"]:
        """What `attend` adds to scores: minus infinity where nothing stands. Pairs are of rows and key heads."""
        rows, heads, *_ = self._values[0].shape
        whole = self._keys[0].new_full((rows, heads, self._asked), -torch.inf)
        whole[..., : self.length].masked_fill_(mask[:, None], 0)
        return whole.view(rows * heads, 1, -1)

    def attend(
        self,
        layer: int,
        hidden: Float[Tensor, "pairs 1 asked"],
        query: Float[Tensor, "rows heads 1 width"],
        key: Float[Tensor, "rows key_heads 1 width"],
        value: Float[Tensor, "rows key_heads 1 width"],
        scale: float,
    ) -> Float[Tensor, "rows heads 1 width"]:
        """Write a block's key and value of the last position; let its query see all positions.

        Args:
            layer: Which block.
            hidden: From `hidden`.
            query: Of the last position; consecutive heads share a head of keys.
            key: Of the last position.
            value: Likewise.
            scale: Of the scores.
        """
        keys, values = self._keys[layer], self._values[layer]
        rows, heads, width, room = keys.shape
        keys[..., self.length - 1] = key[:, :, 0]
        values[:, :, self.length - 1] = value[:, :, 0]
        seen = keys.view(rows * heads, width, room)[..., : self._asked]
        scores = torch.baddbmm(hidden, query.float().reshape(rows * heads, -1, width), seen, alpha=scale)
        weights = scores.softmax(-1).to(values.dtype)
        return torch.bmm(weights, values.view(rows * heads, room, width)[:, : self._asked]).view(query.shape)

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with some rows only, in this order."""
        chosen = torch.tensor(rows)
        self._keys = [one.index_select(0, chosen) for one in self._keys]
        self._values = [one.index_select(0, chosen) for one in self._values]


def _with_room(taken: Float[Tensor, "rows heads a b"], positions: int) -> Float[Tensor, "rows heads c d"]:
    """A copy with more room along the dimension of positions."""
    shape = list(taken.shape)
    shape[positions] = _up(shape[positions] + _GROWTH)
    whole = taken.new_zeros(shape)
    whole.narrow(positions, 0, taken.shape[positions]).copy_(taken)
    return whole


def _up(positions: int) -> int:
    return -(-positions // _STEP) * _STEP
