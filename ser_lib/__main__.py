"""The `ser` command.

    ser data                 which corpora are there
    ser run STUDY            train a study's runs, or go on with them
    ser report CORPUS        run all notebooks and write the report
"""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import typer

from ser_lib.errors import SerError

__all__ = ["app", "main"]

app = typer.Typer(
    name="ser",
    help="Speech emotion recognition, honestly.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def run(
    study: Annotated[str, typer.Argument(help="Name of a study, for example boucheta2025.")],
    corpus: Annotated[str, typer.Option(help="Whose clips.")] = "demo",
    model: Annotated[list[str] | None, typer.Option(help="A model; repeat for several.")] = None,
    protocol: Annotated[
        list[str] | None, typer.Option(help="published, honest, or a protocol's name.")
    ] = None,
    n_seeds: Annotated[int, typer.Option(help="How many of the study's seeds; 0: all.")] = 0,
) -> None:
    """Train a study's runs and store them; what is stored already is not trained again."""
    from ser_lib import corpora, studies
    from ser_lib.runs import run_study, score_runs

    clips = corpora.load(corpus)
    chosen = studies.get_study(study)
    for name in model or [one.name for one in chosen.models]:
        for one in protocol or ["published", "honest"]:
            runs = run_study(chosen, clips, models=[name], protocols=[one], n_seeds=n_seeds)
            typer.echo(f"{study} {name} {one}: {score_runs(runs, clips).sentence()}")


def main() -> None:
    """Run the command; an error that we foresee is one message, not a traceback."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        app()
    except SerError as error:
        typer.echo(f"ser: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
