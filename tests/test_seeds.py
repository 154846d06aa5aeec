"""Seeds: the same everywhere, independent of each other, and reaching all generators."""

from __future__ import annotations

import random
import subprocess
import sys

import numpy as np
import pytest

from ser_lib.seeds import child_seed, generator, seed_everything


def test_the_seed_of_some_words_is_the_same_in_every_process():
    code = "from ser_lib.seeds import child_seed; print(child_seed('noise', 'abc', 42))"
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": salt},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for salt in ("1", "2")
    }
    assert printed == {str(child_seed("noise", "abc", 42))}


def test_the_seed_is_golden():
    # sha256("noise\x1f1") begins with these four bytes: python -c "import hashlib; ..."
    import hashlib

    digest = hashlib.sha256(b"noise\x1f1").hexdigest()
    assert child_seed("noise", 1) == int(digest[:8], 16)


@pytest.mark.parametrize(
    ("first", "second"),
    [(("a", "b"), ("ab",)), (("a", "b"), ("b", "a")), ((1, 23), (12, 3)), (("a",), ("a", ""))],
)
def test_different_parts_give_different_seeds(first, second):
    assert child_seed(*first) != child_seed(*second)


def test_seeds_are_spread_over_their_range():
    seeds = np.array([child_seed("clip", number) for number in range(2000)])
    assert seeds.min() >= 0
    assert seeds.max() < 2**32
    assert len(np.unique(seeds)) == 2000
    # The mean of 2,000 uniform draws deviates by 0.0065 (one standard error); five of them.
    assert abs(seeds.mean() / 2**32 - 0.5) < 0.033


def test_generators_of_the_same_words_draw_the_same():
    assert generator("x", 1).uniform() == generator("x", 1).uniform()
    assert generator("x", 1).uniform() != generator("x", 2).uniform()


def test_a_generator_leaves_the_global_ones_alone():
    np.random.seed(1)  # noqa: NPY002, the global generator is what is tested
    expected = np.random.uniform()  # noqa: NPY002
    np.random.seed(1)  # noqa: NPY002
    generator("x").uniform(size=10)
    assert np.random.uniform() == expected  # noqa: NPY002


def test_seeding_reaches_python_numpy_and_keras():
    keras = pytest.importorskip("keras")

    def draw() -> tuple[float, float, float]:
        layer = keras.layers.Dense(1)
        layer.build((None, 3))
        weights = keras.ops.convert_to_numpy(layer.kernel)
        return random.random(), np.random.uniform(), float(weights.sum())  # noqa: NPY002

    seed_everything(7)
    first = draw()
    seed_everything(7)
    assert draw() == first
    seed_everything(8)
    assert all(one != other for one, other in zip(draw(), first, strict=True))
