"""rates.py -- what every engine is asked, and how its answers are counted: one definition for servers and for libraries."""
import random


def token_ids(n, seed):
    """Random ids that every vocabulary here has; above the special ones."""
    rng = random.Random(seed)
    return [rng.randrange(100, 40000) for _ in range(n)]


def drawn(whole, one):
    """Tokens a second after the first of each stream, of two runs of the same prompts: one of whole answers, one of a token each.

    The prompts were read before, so that who remembers them lets all streams begin together, and draws for all of them to the
    end.  Each run is (seconds until all of its streams were done, their tokens).  Only ends are looked at: that a token was drawn cannot
    be seen from outside when it brings no text, and the answers of random weights have many such."""
    return (whole[1] - one[1]) / (whole[0] - one[0])
