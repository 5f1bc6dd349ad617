"""Sources of noise: the operating system's entropy, and a seed only where a test asks for it."""

import secrets

import numpy as np

_RESOLUTION = 52  # bits; with one half added they are still exact in a float64
_AT_ONCE = 2**20
_POOL = 8
"""Words of 32 bits that a seed is mixed in; NumPy's usual pool of 4 keeps 128 bits of it."""


def generator(site: str, round_number: int, seed: int | None, purpose: str = "noise") -> np.random.Generator:
    """For one round: seeded by the operating system, or from ``seed``, site, round and purpose where it is given."""
    if seed is None:
        return np.random.default_rng(np.random.SeedSequence(secrets.randbits(256), pool_size=_POOL))
    return np.random.default_rng(np.random.SeedSequence([seed, round_number, *site.encode(), 2**31, *purpose.encode()]))


def item_seed(seed: int | None, *of: int | str) -> int:
    """32 bits for what is random in one item, of the operating system, or following from ``seed`` and ``of`` alone."""
    if seed is None:
        return secrets.randbits(32)
    words = [word for each in of for word in ([each] if isinstance(each, int) else [*each.encode(), 2**31])]
    return int(np.random.SeedSequence([seed, *words, 0x17]).generate_state(1)[0])


def secure_normal(shape: tuple[int, ...], std: float) -> np.ndarray:
    """Normal values from the operating system's cryptographic random numbers alone, float64.

    Four are added up and halved, so that the gaps between floating-point numbers do not give the sum's parts away
    (Holohan and Braghin 2021, section 5.1, which Opacus's secure mode follows too).
    """
    size = int(np.prod(shape))
    values = np.zeros(size)
    for start in range(0, size, _AT_ONCE):
        count = min(_AT_ONCE, size - start)
        values[start : start + count] = sum(_from_system(count) for _ in range(4)) / 2.0
    return std * values.reshape(shape)


def _from_system(count: int) -> np.ndarray:
    """Standard normal values: the inverse distribution function of uniform ones, which lie inside (0, 1)."""
    from scipy.special import ndtri

    bits = np.frombuffer(secrets.token_bytes(8 * count), np.uint64) >> np.uint64(64 - _RESOLUTION)
    return np.asarray(ndtri((bits.astype(np.float64) + 0.5) / 2.0**_RESOLUTION))
