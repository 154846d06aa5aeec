"""Training that can be stopped at any moment, and goes on as if it had not been.

One file holds all that decides how a training goes on: weights, optimiser, states of the random
generators, the order of the rows, what the callbacks count, the history. It is replaced by rename
after an epoch, and within long ones, by the clock: short trainings write none.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ser_lib.errors import TrainingStoppedError
from ser_lib.paths import atomic_path
from ser_lib.runtime import is_headless

if TYPE_CHECKING:
    import keras

logger = logging.getLogger(__name__)

# The least time from one checkpoint to the next: at the end of an epoch, and within one; neither
# takes more than a fiftieth of the training.
EPOCH_S = 30.0
STEP_S = 150.0
LEAST_RATIO = 50

DEADLINE: ContextVar[float] = ContextVar("deadline", default=math.inf)
"""When trainings of this context stop, in seconds since 1970."""


@contextmanager
def stopping_after(minutes: float) -> Iterator[None]:
    """Let trainings within raise `TrainingStoppedError` after this time; 0: never."""
    token = DEADLINE.set(time.time() + 60 * minutes if minutes else math.inf)
    try:
        yield
    finally:
        DEADLINE.reset(token)


@dataclass
class Position:
    """How far a training is."""

    epochs: list[dict[str, float]] = field(default_factory=list)
    """The history of finished epochs."""
    steps: list[dict[str, float]] = field(default_factory=list)
    """What the batches of the running epoch reported."""
    order: np.ndarray | None = None
    """The rows of the running epoch."""
    n_steps: int = 0
    """Batches of an epoch."""
    max_epochs: int = 0


@dataclass
class Checkpoint:
    """Where one training keeps what it needs to go on."""

    path: Path
    """A file `.npz`; who trains removes it when the result is stored."""
    deadline: float = math.inf
    """When the training stops, in seconds since 1970."""
    record: Path | None = None
    """Where it is told in JSON how far the training is, see `left_s`."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """What else stands there."""
    earlier_s: float = field(default=0.0, init=False)
    """How long earlier processes have trained, and their processor time, all threads together."""
    earlier_core_s: float = field(default=0.0, init=False)

    def restore(
        self, identity: str, model: keras.Model, callbacks: list, rng: np.random.Generator
    ) -> Position:
        """Set everything to what is kept of the training of this identity; return how far it is.

        Anything else that is found is ignored, with a warning.
        """
        self._identity, self._of = identity, (model, callbacks, rng)
        self._started = self._written = time.monotonic()
        self._core_started = time.process_time()
        self._cost_s, state = 0.0, _variables(model)
        try:
            # NumPy leaves a damaged file open that it has opened itself.
            with self.path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                arrays = dict(stored)
            content = json.loads(str(arrays.pop("content")))
            if content["identity"] != identity:
                raise ValueError("it is of another training, or of other versions of libraries")
            values = [arrays[f"variable{number}"] for number in range(len(state))]
            if [one.shape for one in values] != [tuple(one.shape) for one in state]:
                raise ValueError("its weights have other shapes")
            position = Position(**content["position"], order=arrays.get("order"))
            counters = list(zip(callbacks, content["callbacks"], strict=True))
            earlier = content["spent_s"], content["core_s"]
            rng.bit_generator.state = content["rng"]
        except FileNotFoundError:
            return Position()
        # A damaged file can raise almost anything.
        except Exception as error:
            logger.warning("%s: not used (%s); the training starts anew", self.path, error)
            return Position()
        for variable, value in zip(state, values, strict=True):
            variable.assign(value)
        for number, (callback, one) in enumerate(counters):
            n_best = one.pop("n_best_weights")
            vars(callback).update(one)
            if n_best:
                callback.best_weights = [arrays[f"best{number}_{i}"] for i in range(n_best)]
        self.earlier_s, self.earlier_core_s = earlier
        at = f"epoch {len(position.epochs) + 1}, batch {len(position.steps) + 1}"
        logger.info("%s: goes on at %s, after %.1f min", self.name, at, self.earlier_s / 60)
        return position

    def keep(self, position: Position) -> None:
        """Write a checkpoint if one is due; raise `TrainingStoppedError` if time is over."""
        now, is_over = time.monotonic(), time.time() >= self.deadline
        least_s = STEP_S if position.steps else EPOCH_S
        if not is_over and now - self._written < max(least_s, LEAST_RATIO * self._cost_s):
            return
        spent_s = self.earlier_s + now - self._started
        core_s = self.earlier_core_s + time.process_time() - self._core_started
        model, callbacks, rng = self._of
        content = {
            "position": {name: one for name, one in vars(position).items() if name != "order"},
            "identity": self._identity,
            "callbacks": [_counters(one) for one in callbacks],
            "rng": rng.bit_generator.state,
            "spent_s": spent_s,
            "core_s": core_s,
        }
        arrays: dict[str, Any] = {f"variable{i}": one for i, one in enumerate(_variables(model))}
        for number, one in enumerate(callbacks):
            best = enumerate(getattr(one, "best_weights", None) or [])
            arrays |= {f"best{number}_{i}": value for i, value in best}
        if position.order is not None:
            arrays["order"] = position.order
        with atomic_path(self.path) as temporary:
            np.savez(temporary, **arrays | {"content": np.array(json.dumps(content))})
        record = dict(self.about) | {
            "epochs": round(len(position.epochs) + len(position.steps) / position.n_steps, 3),
            "max_epochs": position.max_epochs,
            "spent_s": round(spent_s, 1),
            "core_s": round(core_s, 1),
        }
        if self.record:
            with atomic_path(self.record) as temporary:
                temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        self._written = time.monotonic()
        self._cost_s = self._written - now
        if is_over:
            raise TrainingStoppedError(f"{self.name}, {progress_text(record)}")
        if is_headless():
            logger.info("%s, %s", self.name, progress_text(record))

    @property
    def name(self) -> str:
        """What is trained, for messages."""
        return str(self.about.get("name", self.path.stem))

    def remove(self) -> None:
        """Delete what was kept: the result is stored."""
        for path in (self.path, self.record):
            if path:
                path.unlink(missing_ok=True)


def left_s(record: Mapping[str, Any], *, of: str = "spent_s") -> float:
    """Return how long a training takes at most from a record on, by what its epochs have taken.

    Folds that have not begun (`n_folds_waiting`) count with all their epochs. `core_s` is processor
    time, which other work on the machine hardly changes.
    """
    epochs = record["max_epochs"] * (1 + record.get("n_folds_waiting", 0)) - record["epochs"]
    return float(epochs * record[of] / record["epochs"])


def progress_text(record: Mapping[str, Any]) -> str:
    """Say in words how far a training is: epochs, and minutes.

    >>> progress_text({"epochs": 2.5, "max_epochs": 50, "spent_s": 600})
    '2.5 of at most 50 epochs in 10 min, at most 190 min left'
    """
    minutes = [f"{one / 60:.3g}" for one in (record["spent_s"], left_s(record))]
    n_waiting = record.get("n_folds_waiting", 0)
    waiting = f" with {n_waiting} fold(s) that have not begun" if n_waiting else ""
    return (
        f"{record['epochs']:.3g} of at most {record['max_epochs']} epochs in {minutes[0]} min, "
        f"at most {minutes[1]} min left{waiting}"
    )


def state_of(model: keras.Model) -> list:
    """Return weights and the states of dropout's generators, which `weights` leaves out."""
    return [one for layer in model.layers for one in layer.variables]


def _variables(model: keras.Model) -> list:
    return [*state_of(model), *model.optimizer.variables]


def _counters(callback: Any) -> dict[str, Any]:
    """Return the numbers of a callback: patience, the best value, epochs."""
    plain = {
        name: value
        for name, value in vars(callback).items()
        if value is None or isinstance(value, (bool, int, float))
    }
    return plain | {"n_best_weights": len(getattr(callback, "best_weights", None) or [])}
