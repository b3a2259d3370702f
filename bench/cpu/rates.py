"""rates.py -- what every engine is asked, and how its answers are counted: one definition for servers and for libraries."""
import random


def token_ids(n, seed):
    """Random ids that every vocabulary here has; above the special ones."""
    rng = random.Random(seed)
    return [rng.randrange(100, 40000) for _ in range(n)]


def together(streams):
    """Tokens a second while all of the streams draw: from the last stream's first token to the end of the first to end.

    A stream is a list of (time, number of its tokens known then).  Between two events its number grows evenly."""
    begin = max(stream[0][0] for stream in streams)
    end = min(stream[-1][0] for stream in streams)
    if end <= begin:
        raise RuntimeError("the first stream ended before the last began: these answers are too short")
    return sum(known(stream, end) - known(stream, begin) for stream in streams) / (end - begin)


def known(stream, when):
    for (t0, n0), (t1, n1) in zip(stream, stream[1:]):
        if t0 <= when <= t1:
            return n0 + (n1 - n0) * (when - t0) / (t1 - t0) if t1 > t0 else n1
    return stream[0][1] if when < stream[0][0] else stream[-1][1]
