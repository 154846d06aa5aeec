"""nbstripout as git's filter for notebooks (see the Makefile), in less time.

Nothing is validated here: without the grammar of addresses that jsonschema compiles whenever it is
imported, git waits a quarter of a second a notebook.
"""

import sys

sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]

from nbstripout import main  # noqa: E402

# What JupyterLab adds beyond outputs; the language keeps its name.
EXTRA = ["metadata.signature", "metadata.widgets", "cell.metadata.jupyter"] + [
    f"metadata.language_info.{key}"
    for key in (
        *("codemirror_mode", "file_extension", "mimetype"),
        *("nbconvert_exporter", "pygments_lexer", "version"),
    )
]

if __name__ == "__main__":
    sys.argv[1:] = ["--keep-id", "--extra-keys", " ".join(EXTRA)]
    main()
