"""Record version and hash of every text that doxa ships: `python docs/record_prose.py`.

A text that has changed has a higher version than the one in the record, or the script stops: results name a version.
"""

import json
import sys

from doxa.lint import RECORD, compare_records, current_record, lint, prose_files, shipped_record


def main() -> None:
    """Write `src/doxa/data/versions.json`."""
    findings = [finding for path in prose_files() for finding in lint(path)]
    now = current_record()
    before = shipped_record() if RECORD.exists() else {}
    findings += [one for one in compare_records(before, now) if "raise its version" in one.what]
    if findings:
        sys.exit("\n".join(map(str, findings)))
    lines = [f" {json.dumps(name)}: {json.dumps(pinned)}" for name, pinned in sorted(now.items())]
    RECORD.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"recorded {len(now)} texts")


if __name__ == "__main__":
    main()
