"""How llama.cpp writes a batch: one sequence a row, decoded together, a control vector in the context.

A control vector belongs to a context: every row of a batch has the same one. It begins at the second block (what the
first block returns cannot be added to), so llama.cpp adds to one block fewer than the others. Everything else is as
llama.cpp has it by default: keys and values in float16, attention by its own choice.
"""

import ctypes
from pathlib import Path

import llama_cpp
import numpy as np
from task import Task, Tokens, Write

FILES = {"float32": llama_cpp.LLAMA_FTYPE_ALL_F32, "bfloat16": llama_cpp.LLAMA_FTYPE_MOSTLY_BF16}
BATCH = 2048  # tokens that are decoded in one call, as llama.cpp's own tools do


@llama_cpp.llama_log_callback
def _quiet(level: int, text: bytes, _: object) -> None:
    pass


def _weights(task: Task) -> Path:
    """The model in its dtype, dequantised by llama.cpp from the file that doxa converts too."""
    path = task.folder / f"{task.dtype}.gguf"
    if not path.is_file():
        how = llama_cpp.llama_model_quantize_default_params()
        how.ftype, how.allow_requantize, how.nthread = FILES[task.dtype], True, task.threads
        beside = path.with_suffix(".making")
        source = task.folder / "source.gguf"
        if llama_cpp.llama_model_quantize(str(source).encode(), str(beside).encode(), ctypes.byref(how)):
            raise RuntimeError(f"llama.cpp could not convert {source}")
        beside.rename(path)
    return path


class _Context:
    """A context for so many sequences."""

    def __init__(self, model: object, task: Task, rows: int, length: int) -> None:
        how = llama_cpp.llama_context_default_params()
        self.rows, self.room = rows, -(-length // 256) * 256
        how.n_ctx, how.n_seq_max, how.n_batch = rows * self.room, rows, BATCH
        how.n_threads = how.n_threads_batch = task.threads
        self.pointer = llama_cpp.llama_init_from_model(model, how)
        self.batch = llama_cpp.llama_batch_init(BATCH, 0, 1)
        self._vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))

    def close(self) -> None:
        llama_cpp.llama_batch_free(self.batch)
        llama_cpp.llama_free(self.pointer)

    def decode(self, cells: list[tuple[int, int, int, bool]]) -> list[int]:
        """Decode (token, position, sequence, whether logits are wanted); the most probable next tokens."""
        best: list[int] = []
        for start in range(0, len(cells), BATCH):
            part = cells[start : start + BATCH]
            self.batch.n_tokens = len(part)
            for index, (token, position, sequence, wanted) in enumerate(part):
                self.batch.token[index], self.batch.pos[index] = token, position
                self.batch.n_seq_id[index], self.batch.seq_id[index][0] = 1, sequence
                self.batch.logits[index] = wanted
            if llama_cpp.llama_decode(self.pointer, self.batch):
                raise RuntimeError(f"llama.cpp could not decode {len(part)} tokens")
            for index, cell in enumerate(part):
                if cell[3]:
                    logits = llama_cpp.llama_get_logits_ith(self.pointer, index)
                    best.append(int(np.ctypeslib.as_array(logits, (self._vocabulary,)).argmax()))
        return best

    def steer(self, vector: np.ndarray | None) -> None:
        """Add a row of the array to what each block returns, from the second block on."""
        layers, width = (0, 0) if vector is None else vector.shape
        data = None if vector is None else vector.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        if llama_cpp.llama_set_adapter_cvec(self.pointer, data, layers * width, width, 1, layers):
            raise RuntimeError("llama.cpp did not take the control vector")


def llama(task: Task) -> Write:
    llama_cpp.llama_log_set(_quiet, None)
    llama_cpp.llama_backend_init()
    model = llama_cpp.llama_model_load_from_file(str(_weights(task)).encode(), llama_cpp.llama_model_default_params())
    vector = np.array(task.additions[1:], dtype=np.float32)
    context = _Context(model, task, 1, 1)

    def write(tokens: Tokens, new: int, steered: bool) -> Tokens:
        nonlocal context
        rows, length = len(tokens), len(tokens[0])
        if context.rows != rows or context.room < length + new:
            context.close()
            context = _Context(model, task, rows, length + new)
        context.steer(vector if steered else None)
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context.pointer), True)
        last = length - 1
        drawn = context.decode(
            [(token, at, row, at == last) for row, own in enumerate(tokens) for at, token in enumerate(own)]
        )
        written = [[token] for token in drawn]
        for at in range(length, length + new - 1):
            drawn = context.decode([(token, at, row, True) for row, token in enumerate(drawn)])
            for own, token in zip(written, drawn, strict=True):
                own.append(token)
        return written

    return write
