"""Write a notebook as git takes it: without outputs, and without what JupyterLab adds to any.

Git runs this filter for each notebook whenever it looks (see the Makefile). nbstripout gives the
same, in a hundred times the time, and has the last word in `make lint`.
"""

import json
import sys

OF_A_SESSION = ("collapsed", "ExecuteTime", "execution", "heading_collapsed", "hidden", "scrolled")


def strip(text: str) -> str:
    """Strip a notebook; what is none, such as one with conflicts, stays as it is."""
    try:
        notebook = json.loads(text)
        metadata, cells = notebook["metadata"], notebook["cells"]
    except (ValueError, KeyError, TypeError):
        return text
    for key in ("signature", "widgets"):
        metadata.pop(key, None)
    metadata["language_info"] = {"name": metadata.get("language_info", {}).get("name", "python")}
    for cell in cells:
        if cell["cell_type"] == "code":
            cell.update(outputs=[], execution_count=None)
        for key in (*OF_A_SESSION, "jupyter"):
            cell["metadata"].pop(key, None)
    return json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for stream in (sys.stdin, sys.stdout):
        stream.reconfigure(encoding="utf-8", newline="")  # type: ignore[union-attr]
    sys.stdout.write(strip(sys.stdin.read()))
