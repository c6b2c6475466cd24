"""The steps of training an adapter: loss and gradients of a batch, and AdamW. What else there is builds on these.

The loss is Tinker's: the sum over tokens of -logprob * weight.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from doxa.models.handle import DTYPES, Model
from doxa.training.base import Base, base_of, shared_copy
from doxa.training.head_loss import head_loss
from doxa.training.llama_flat import LlamaFlat, llama_flat
from doxa.training.low_rank_linear import LowRankPair, TunedLinear, initialise
from doxa.training.rows import TrainingTokens
from doxa.words.errors import EnvironmentFault
from doxa.words.store import faults, write_atomic
from doxa.words.tuning import Configuration

MOST_TOKENS = 512
"""Tokens that are run together; a larger batch is several passes whose gradients add up."""
ADAPTER_FILE = "adapter_model.safetensors"
OPTIMIZER_FILE = "optimizer.safetensors"


@dataclass(frozen=True, eq=False)
class Trainable:
    """A model with low-rank matrices beside the linear layers of its decoder blocks.

    The object is frozen; the numbers in its tensors change with every step.

    Attributes:
        model: Is not changed.
        rank: Of the matrices.
        alpha: Their product is multiplied by `alpha / rank`.
        pairs: The trained matrices by the path of their layer, in the order of the network.
        moments: AdamW's two running means of each matrix, by its name in the adapter's file.
        steps: How many steps AdamW has made, int64.
        base: What is not trained.
        network: Our own modules, with the low-rank matrices in them.
        flat: The same network in a form that needs no padding; None where it is built otherwise.
    """

    model: Model
    rank: int
    alpha: float
    pairs: Mapping[str, LowRankPair]
    moments: Mapping[str, tuple[Tensor, Tensor]]
    steps: Tensor
    base: Base
    network: nn.Module
    flat: LlamaFlat | None


@dataclass(frozen=True, eq=False)
class BatchLoss:
    """What a batch says.

    Attributes:
        total: Sum over tokens of -logprob * weight.
        logprobs: For each row the log-probability of each token from those before it, float32; NaN where it was not
            computed: of the first token, and of tokens that are not trained on.
    """

    total: float
    logprobs: tuple[Float[Tensor, " tokens"], ...]


def trainable(model: Model, configuration: Configuration, initialisation: int) -> Trainable:
    """Low-rank matrices for every linear layer of a model's decoder blocks, as PEFT draws them.

    Args:
        model: Is not changed.
        configuration: Its `rank`, `alpha` and `dtype` are used.
        initialisation: Seed of A; B is 0.

    Raises:
        TrainingError: When the model has no such layers.
    """
    base = base_of(model, DTYPES[configuration.dtype])
    scale = configuration.alpha / configuration.rank
    pairs: dict[str, LowRankPair] = {}
    for path, layer in base.layers.items():
        pair = LowRankPair(layer.in_features, layer.out_features, configuration.rank, layer.weight.device)
        initialise(pair, initialisation, path)
        pairs[path] = pair
    network = _tuned(base, pairs, scale, pack=False)
    flat = llama_flat(model, base, network, pairs, scale)
    if flat is None:
        network = _tuned(base, pairs, scale, pack=True)
    matrices = named_matrices(pairs)
    moments = {name: (torch.zeros_like(own), torch.zeros_like(own)) for name, own in matrices.items()}
    steps = torch.zeros((), dtype=torch.int64)
    return Trainable(model, configuration.rank, configuration.alpha, pairs, moments, steps, base, network, flat)


def _tuned(base: Base, pairs: Mapping[str, LowRankPair], scale: float, *, pack: bool) -> nn.Module:
    """Modules of our own with low-rank matrices in them."""
    network = shared_copy(base.network)
    for path, pair in pairs.items():
        parent, _, name = path.rpartition(".")
        setattr(network.get_submodule(parent), name, TunedLinear(base.product([path], pack=pack), [pair], scale))
    return network


def named_matrices(pairs: Mapping[str, LowRankPair]) -> dict[str, Tensor]:
    """The trained matrices by their names in PEFT's file."""
    return {
        f"base_model.model.{path}.lora_{letter}.weight": matrix
        for path, pair in pairs.items()
        for letter, matrix in (("A", pair.down), ("B", pair.up))
    }


def forward_backward(
    trainable: Trainable, batch: Sequence[TrainingTokens], *, backward: bool = True, everywhere: bool = False
) -> BatchLoss:
    """Run a batch; with `backward` the gradients are added to those that are there.

    Args:
        trainable: Its gradients change, its numbers do not.
        batch: Rows whose weights are what they count in the loss, already reduced.
        backward: Whether gradients are wanted.
        everywhere: Compute the log-probability of every token, not only of those that have a weight.
    """
    logprobs = [torch.full((len(row.tokens),), torch.nan) for row in batch]
    losses: list[Tensor] = []
    for indices in _passes(trainable, batch):
        rows = [batch[index] for index in indices]
        read = [_read(row, everywhere) for row in rows]
        if not any(map(len, read)):
            continue
        with torch.set_grad_enabled(backward):
            features = _features(trainable, rows, read)
        device = features.device
        targets = torch.cat([torch.tensor(row.tokens)[own] for row, own in zip(rows, read, strict=True)])
        weights = torch.cat([torch.tensor(row.weights)[own] for row, own in zip(rows, read, strict=True)])
        wanted = weights.to(device) if backward else None
        found, gradient = head_loss(trainable.base.head, features.detach(), targets.to(device), wanted)
        if gradient is not None:
            features.backward(gradient)  # type: ignore[no-untyped-call]
        found = found.cpu()
        losses.append(-(found.double() * weights.double()).sum())
        for index, own, part in zip(indices, read, torch.split(found, [len(own) for own in read]), strict=True):
            logprobs[index][own] = part
    return BatchLoss(float(sum(losses)), tuple(logprobs))


def _passes(trainable: Trainable, batch: Sequence[TrainingTokens]) -> Iterator[list[int]]:
    """Which rows run together: of like lengths, and not more tokens than fit."""
    order = sorted(range(len(batch)), key=lambda index: (-len(batch[index].tokens), index))
    together: list[int] = []
    taken = 0
    for index in order:
        # Without the flat form rows are padded to the longest, which is the first.
        length = len(batch[index].tokens) if trainable.flat is not None or not together else taken // len(together)
        if together and taken + length > MOST_TOKENS:
            yield together
            together, taken = [], 0
            length = len(batch[index].tokens)
        together.append(index)
        taken += length
    if together:
        yield together


def _read(row: TrainingTokens, everywhere: bool) -> Tensor:
    """The places of the tokens whose log-probability is wanted."""
    return torch.tensor([place for place in range(1, len(row.tokens)) if everywhere or row.weights[place] != 0]).long()


def _features(
    trainable: Trainable, rows: Sequence[TrainingTokens], read: Sequence[Tensor]
) -> Float[Tensor, "positions width"]:
    """What the head reads at the places before the tokens that are read, row after row."""
    device = trainable.model.device
    if trainable.flat is not None:
        lengths = [len(row.tokens) for row in rows]
        starts = [sum(lengths[:index]) for index in range(len(rows))]
        places = torch.cat([own + start - 1 for own, start in zip(read, starts, strict=True)])
        tokens = torch.tensor([token for row in rows for token in row.tokens], device=device)
        return trainable.flat.run(tokens, lengths, places.to(device))
    longest = max(len(row.tokens) for row in rows)
    # Padded on the right, where no token sees the padding: no mask is needed.
    tokens = torch.tensor([[*row.tokens, *[0] * (longest - len(row.tokens))] for row in rows], device=device)
    network = trainable.network if trainable.base.whole else trainable.network.get_decoder()  # type: ignore[operator]
    output = network(input_ids=tokens, use_cache=False)
    features: Tensor = output.logits if trainable.base.whole else output.last_hidden_state
    places = torch.cat([own + index * longest - 1 for index, own in enumerate(read)])
    return features.flatten(0, 1)[places.to(device)]


def gradient_norm(trainable: Trainable) -> float:
    """The norm of all gradients as one vector."""
    gradients = [matrix.grad for matrix in named_matrices(trainable.pairs).values() if matrix.grad is not None]
    return float(torch.stack([gradient.norm() for gradient in gradients]).norm()) if gradients else 0.0


@torch.no_grad()
def adamw_step(trainable: Trainable, learning_rate: float, configuration: Configuration) -> float:
    """Change the matrices by one step of AdamW (Loshchilov and Hutter 2019), as `torch.optim.AdamW` does.

    Args:
        trainable: Its matrices, moments and count of steps change; gradients are gone afterwards.
        learning_rate: Of this step.
        configuration: Its betas, `epsilon`, `weight_decay` and `clip_norm` are used.

    Returns:
        The norm of the gradients, before they were clipped.
    """
    norm = gradient_norm(trainable)
    trainable.steps.add_(1)
    steps = int(trainable.steps)
    named = {name: own for name, own in named_matrices(trainable.pairs).items() if own.grad is not None}
    matrices = list(named.values())
    gradients = [matrix.grad for matrix in matrices if matrix.grad is not None]
    if configuration.clip_norm is not None and norm > configuration.clip_norm:
        torch._foreach_mul_(gradients, configuration.clip_norm / (norm + 1e-6))
    first = [trainable.moments[name][0] for name in named]
    second = [trainable.moments[name][1] for name in named]
    if matrices:
        torch._foreach_mul_(matrices, 1 - learning_rate * configuration.weight_decay)
        torch._foreach_lerp_(first, gradients, 1 - configuration.beta1)
        torch._foreach_mul_(second, configuration.beta2)
        torch._foreach_addcmul_(second, gradients, gradients, 1 - configuration.beta2)
        roots = torch._foreach_sqrt(second)
        torch._foreach_div_(roots, (1 - configuration.beta2**steps) ** 0.5)
        torch._foreach_add_(roots, configuration.epsilon)
        torch._foreach_addcdiv_(matrices, first, roots, -learning_rate / (1 - configuration.beta1**steps))
    for matrix in matrices:
        matrix.grad = None
    return norm


@torch.no_grad()
def restart_optimizer(trainable: Trainable) -> None:
    """Let AdamW begin anew: moments and steps are 0."""
    for own in (*(one for both in trainable.moments.values() for one in both), trainable.steps):
        own.zero_()


def save_state(trainable: Trainable, folder: Path, with_optimizer: bool = True) -> None:
    """Write the matrices, and AdamW's moments and count of steps, as safetensors; each file whole or not at all.

    Raises:
        EnvironmentFault: When the disk is full or the folder may not be written.
    """
    matrices = {name: own.detach().cpu().contiguous() for name, own in named_matrices(trainable.pairs).items()}
    with faults(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if with_optimizer:
        kept = {f"{name}.{n}": own.cpu() for name, both in trainable.moments.items() for n, own in enumerate(both)}
        write_atomic(folder / OPTIMIZER_FILE, save({**kept, "steps": trainable.steps}))
    write_atomic(folder / ADAPTER_FILE, save(matrices, {"format": "pt"}))


@torch.no_grad()
def load_state(trainable: Trainable, folder: Path, with_optimizer: bool = True) -> None:
    """Take the matrices, and AdamW's moments and count of steps, from a folder.

    Without the optimizer its moments and steps begin at 0.

    Raises:
        EnvironmentFault: When the files are missing, damaged, or of another model or rank.
    """
    matrices = named_matrices(trainable.pairs)
    _copy(_tensors(folder / ADAPTER_FILE), matrices, folder / ADAPTER_FILE)
    kept = {f"{name}.{n}": own for name, both in trainable.moments.items() for n, own in enumerate(both)}
    if with_optimizer:
        _copy(_tensors(folder / OPTIMIZER_FILE), {**kept, "steps": trainable.steps}, folder / OPTIMIZER_FILE)
    else:
        restart_optimizer(trainable)
    for matrix in matrices.values():
        matrix.grad = None


_AGAIN = "Remove the folder and run the same command again, or take it from where it came from once more"


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise EnvironmentFault(f"{path} cannot be read ({error})", way_out=_AGAIN) from error


def _copy(found: Mapping[str, Tensor], into: Mapping[str, Tensor], path: Path) -> None:
    wrong = [name for name, own in into.items() if name not in found or found[name].shape != own.shape]
    if wrong or len(found) != len(into):
        example = wrong[0] if wrong else min(set(found) - set(into))
        raise EnvironmentFault(
            f"{path} holds other matrices than those that are trained here, {example} for instance",
            expected=f"{len(into)} matrices of this model and rank",
            way_out=_AGAIN,
        )
    for name, own in into.items():
        own.copy_(found[name])
