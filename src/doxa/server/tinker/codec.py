"""Between the SDK's messages and ours. The schema of the messages is the SDK's own (`tinker.proto`)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import zstandard
from google.protobuf.message import DecodeError
from tinker.proto import tinker_public_pb2 as wire

from doxa.server.refusals import Refused
from doxa.training.rows import TrainingTokens
from doxa.training.steps import BatchLoss

PROTOBUF = "application/x-protobuf"
MOST_ROWS = 1024
"""Rows of a message, as the SDK cuts them."""
EMPTY = -99999.0
"""The log-probability of cells of a table that hold nothing."""
_DTYPES = {wire.DTYPE_FLOAT32: np.dtype("<f4"), wire.DTYPE_INT64: np.dtype("<i8"), wire.DTYPE_INT32: np.dtype("<i4")}


@dataclass(frozen=True)
class ForwardBackward:
    """A request for a loss, and perhaps its gradients.

    Attributes:
        model: Id of the model that is trained.
        seq: Its place among the model's requests.
        rows: What is trained on.
        backward: Whether gradients are wanted.
    """

    model: str
    seq: int
    rows: tuple[TrainingTokens, ...]
    backward: bool


def unpacked(body: bytes, encoding: str, most: int) -> bytes:
    """A body as it was before it was compressed.

    Args:
        body: As it was sent.
        encoding: What the header `Content-Encoding` says: "", `identity` or `zstd`.
        most: Bytes that it may have.

    Raises:
        Refused: When it is larger, damaged, or compressed otherwise.
    """
    if encoding in ("", "identity"):
        return body
    if encoding != "zstd":
        raise Refused(415, f"the body is compressed as {encoding[:20]!r}", expected="zstd", way_out="Send it plainly")
    parts, length = [], 0
    try:
        with zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(body) as reader:
            while part := reader.read(1 << 16):
                length += len(part)
                if length > most:
                    raise Refused(
                        413, "the body unpacks to too much", expected=f"at most {most:,} bytes", way_out="Send less"
                    )
                parts.append(part)
    except zstandard.ZstdError as error:
        raise _malformed(f"the body is no zstd ({error})") from error
    return b"".join(parts)


def forward_backward_request(body: bytes, vocabulary: int, longest: int) -> ForwardBackward:
    """Read a request.

    Args:
        body: The message.
        vocabulary: How many tokens there are.
        longest: The most tokens of a row.

    Raises:
        Refused: When it is not understood, or asks for what this server cannot do.
    """
    message = wire.ForwardBackwardRequest()
    try:
        message.ParseFromString(body)
    except DecodeError as error:
        raise _malformed("the body is no message of forward_backward") from error
    if message.loss_fn != "cross_entropy":
        raise _malformed(
            f"the loss {message.loss_fn[:40]!r}",
            "cross_entropy (forward_backward_custom is made of it by the SDK)",
        )
    if not 0 < len(message.data) <= MOST_ROWS:
        raise _malformed(f"{len(message.data)} rows", f"1 to {MOST_ROWS}")
    rows = tuple(_row(number, datum, vocabulary, longest) for number, datum in enumerate(message.data))
    return ForwardBackward(message.model_id, message.seq_id, rows, not message.forward_only)


def _row(number: int, datum: Any, vocabulary: int, longest: int) -> TrainingTokens:
    inputs: list[int] = []
    for chunk in datum.model_input:
        if chunk.WhichOneof("chunk") not in (None, "encoded_text"):
            raise _malformed(f"row {number} holds images or sound", "text")
        inputs += _numbers(chunk.encoded_text.tokens, np.dtype("<i4"), f"row {number}").tolist()
    unknown = set(datum.loss_fn_inputs) - {"target_tokens", "weights"}
    if unknown or "target_tokens" not in datum.loss_fn_inputs:
        found = f"loss inputs {sorted(datum.loss_fn_inputs)}"
        raise _malformed(f"row {number} has {found}"[:200], "target_tokens and weights")
    targets = _tensor(datum.loss_fn_inputs["target_tokens"], f"row {number}: target_tokens").tolist()
    weights = [1.0] * len(targets)
    if "weights" in datum.loss_fn_inputs:
        weights = _tensor(datum.loss_fn_inputs["weights"], f"row {number}: weights").tolist()
    if not len(inputs) == len(targets) == len(weights) or not inputs:
        lengths = f"{len(inputs)} tokens, {len(targets)} targets and {len(weights)} weights"
        raise _malformed(f"row {number} has {lengths}", "as many of each, and at least one")
    if inputs[1:] != targets[:-1]:
        raise _malformed(
            f"the targets of row {number} are not its own tokens, one further on",
            "ModelInput of tokens[:-1], targets tokens[1:]",
        )
    tokens = (*inputs, int(targets[-1]))
    if len(tokens) > longest:
        raise _malformed(f"row {number} has {len(tokens)} tokens", f"at most {longest}")
    if not all(0 <= token < vocabulary for token in tokens):
        raise _malformed(f"row {number} holds a token that there is not", f"ids from 0 to {vocabulary - 1}")
    if not all(math.isfinite(weight) for weight in weights):
        raise _malformed(f"row {number} has a weight that is no number", "finite weights")
    return TrainingTokens(str(number), tokens, (0.0, *map(float, weights)))


def _tensor(message: Any, where: str) -> Any:
    if message.dtype not in _DTYPES or len(message.shape) > 1:
        raise _malformed(f"{where} has {len(message.shape)} dimensions, or an unknown type", "numbers in one row")
    if message.WhichOneof("encoding") == "sparse_csr":
        raise _malformed(f"{where} is sparse", "a dense tensor")
    found = _numbers(message.dense, _DTYPES[message.dtype], where)
    if list(message.shape) not in ([], [len(found)]):
        raise _malformed(f"{where} has {len(found)} numbers and the shape {list(message.shape)}", "as it says")
    return found


def _numbers(data: bytes, dtype: Any, where: str) -> Any:
    if len(data) % dtype.itemsize:
        raise _malformed(f"{where} has {len(data)} bytes", f"a multiple of {dtype.itemsize}")
    return np.frombuffer(data, dtype)


def forward_backward_output(rows: Sequence[TrainingTokens], found: BatchLoss) -> bytes:
    """What was found, as the SDK reads it: the loss, and the log-probability of every target.

    Args:
        rows: What was run.
        found: Its loss.
    """
    logprobs = [own[1:].numpy().astype("<f4") for own in found.logprobs]
    ends = np.cumsum([0, *(own.nbytes for own in logprobs)]).astype("<i8")
    message = wire.ForwardBackwardOutput(loss_fn_output_type="TorchLossReturn")
    record = message.loss_fn_outputs.add(type_tag="TorchLossReturn", num_datums=len(rows))
    field = record.fields["logprobs"]
    field.data, field.offsets, field.dtype = (
        b"".join(own.tobytes() for own in logprobs),
        ends.tobytes(),
        wire.DTYPE_FLOAT32,
    )
    message.metrics["loss:sum"] = found.total
    return bytes(message.SerializeToString())


@dataclass(frozen=True)
class Written:
    """A text that was written.

    Attributes:
        tokens: With the token that ended it, where one did.
        logprobs: Of each.
        ended: Whether it came to an end of its own.
        top: For each token the most probable ones and their log-probabilities; () where nobody asked.
    """

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    ended: bool
    top: tuple[tuple[tuple[int, float], ...], ...] = ()


@dataclass(frozen=True)
class PromptScores:
    """What was asked of the prompt; None where nothing was.

    Attributes:
        logprobs: Of each token from those before it; NaN where it was not asked for.
        top: For each token the most probable ones.
        targets: The request's own tensor with the log-probability of each token it names.
        drawn: For each token but the first others that were drawn, with their log-probabilities.
    """

    logprobs: tuple[float, ...] | None = None
    top: tuple[tuple[tuple[int, float], ...], ...] | None = None
    targets: Mapping[str, Any] | None = None
    drawn: tuple[tuple[tuple[int, float], ...], ...] | None = None


def sample_output(sequences: Sequence[Written], prompt: PromptScores) -> bytes:
    """Texts and scores as the SDK reads them."""
    message = wire.SampleResponse()
    for one in sequences:
        stop = wire.STOP_REASON_STOP if one.ended else wire.STOP_REASON_LENGTH
        own = message.sequences.add(stop_reason=stop, tokens=_int32(one.tokens), logprobs=_float32(one.logprobs))
        if one.top:
            _table(own.topk_sampled_logprobs, one.top)
    if prompt.logprobs is not None:
        message.prompt_logprobs = _float32(prompt.logprobs)
    if prompt.top is not None:
        _table(message.topk_prompt_logprobs, prompt.top)
    if prompt.targets is not None:
        _target_tensor(message.target_prompt_logprobs, prompt.targets)
    if prompt.drawn is not None:
        shape = [len(prompt.drawn), len(prompt.drawn[0]) if prompt.drawn else 0]
        flat = [cell for row in prompt.drawn for cell in row]
        tokens, logprobs = message.prompt_alt_tokens.tokens, message.prompt_alt_tokens.logprobs
        tokens.dense, tokens.dtype = _int32([token for token, _ in flat]), wire.DTYPE_INT32
        logprobs.dense, logprobs.dtype = _float32([value for _, value in flat]), wire.DTYPE_FLOAT32
        tokens.shape.extend(shape)
        logprobs.shape.extend(shape)
    return bytes(message.SerializeToString())


def _target_tensor(message: Any, found: Mapping[str, Any]) -> None:
    message.dtype = wire.DTYPE_FLOAT32
    message.shape.extend(found["shape"])
    if found.get("crow") is None:
        message.dense = _float32(found["data"])
        return
    message.sparse_csr.values = _float32(found["data"])
    message.sparse_csr.crow_indices = np.asarray(found["crow"], "<i8").tobytes()
    message.sparse_csr.col_indices = np.asarray(found["col"], "<i8").tobytes()


def _table(message: Any, rows: Sequence[Sequence[tuple[int, float]]]) -> None:
    width = max(map(len, rows))
    cells = [cell for row in rows for cell in (*row, *[(0, EMPTY)] * (width - len(row)))]
    message.token_ids, message.logprobs = _int32([cell[0] for cell in cells]), _float32([cell[1] for cell in cells])
    message.k, message.length = width, len(rows)


def _int32(values: Sequence[int]) -> bytes:
    return np.asarray(values, "<i4").tobytes()


def _float32(values: Sequence[float]) -> bytes:
    return np.asarray(values, "<f4").tobytes()


def _malformed(found: str, expected: str = "") -> Refused:
    return Refused(400, found, expected=expected, way_out="Mend the request", code="malformed")


def cells_of_targets(asked: Mapping[str, Any], rows: int) -> list[tuple[int, int]]:
    """The cells of `target_prompt_logprobs`: of each its row and its token, in the order of its data; -1 asks nothing.

    Raises:
        Refused: When the tensor does not fit the prompt.
    """
    shape: Any = asked.get("shape")
    data: Any = asked.get("data")
    crow: Any = asked.get("sparse_crow_indices")
    col: Any = asked.get("sparse_col_indices")
    whole = isinstance(shape, list) and isinstance(data, list) and len(shape) == 2
    if not whole or shape[0] != rows or not all(type(one) is int for one in [*data, *shape]):
        raise _malformed("target_prompt_logprobs does not fit the prompt", f"whole numbers in the shape [{rows}, K]")
    if crow is None:
        if len(data) != shape[0] * shape[1]:
            raise _malformed(f"target_prompt_logprobs has {len(data)} numbers", f"{shape[0] * shape[1]}")
        return [(index // shape[1], token) for index, token in enumerate(data)]
    sound = isinstance(crow, list) and isinstance(col, list) and all(isinstance(one, int) for one in [*crow, *col])
    if not sound or len(crow) != rows + 1 or crow[0] != 0 or crow[-1] != len(data) or len(col or ()) != len(data):
        raise _malformed("the rows of target_prompt_logprobs do not fit", f"{rows + 1} places that end at {len(data)}")
    if any(a > b for a, b in pairwise(crow)):
        raise _malformed("the rows of target_prompt_logprobs are out of order", "rising places")
    return [(row, token) for row, (a, b) in enumerate(pairwise(crow)) for token in data[a:b]]
