"""Mend how vllm-lens 1.3.0 counts positions: `ENVIRONMENT/bin/python benchmarks/vllm/mend_positions.py`.

A steering vector with absolute positions is added at those of the *current pass*: the plugin looks for the lengths of
the texts in a dictionary of attention metadata instead of in one of its entries, finds none, and counts every pass
from 0. A prompt that is read in several passes is then steered at wrong positions, and while an answer is written every
token counts as the first. Vectors for all positions (`at: all`) are not concerned. doxa tries servers for it and
refuses what such a server would do wrongly; after this the whole of `at` works. Start the server anew.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

WRONG = 'seq_lens: Any = getattr(attn_metadata, "seq_lens", None)'
RIGHT = 'seq_lens: Any = getattr(_meta, "seq_lens", None)'


def main() -> int:
    found = find_spec("vllm_lens")
    if found is None or found.origin is None:
        print("there is no vllm-lens in this environment; run this with the server's own python")
        return 2
    file = Path(found.origin).parent / "_worker_ext.py"
    text = file.read_text(encoding="utf-8")
    if RIGHT in text:
        print(f"{file} is mended already")
        return 0
    if text.count(WRONG) != 1:
        print(f"{file} is of another version; nothing was changed")
        return 2
    file.write_text(text.replace(WRONG, RIGHT), encoding="utf-8")
    print(f"mended {file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
