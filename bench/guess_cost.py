"""guess_cost.py -- what hearth's guesses cost where they fail: the same drawn texts with and without them, in turns.

  python3 bench/guess_cost.py MODEL.gguf [--rounds 9] [--streams 1,2,4,8,16] [--fifo] [--hearth PATH]

Texts are drawn with temperature 1 and equal seeds, so that both servers write the same tokens.  Two kinds of prompts:
  fresh     words in random order: little is ever seen again
  lure      lines that begin alike and end differently: every line begins like one before, so guesses are tried, and fail
Prints the seconds without guesses over those with them: above 1 they help, below 0.97 they cost more than 3 %.
"""
import argparse, os, random, statistics, sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "cpu"))
import engines
from over_http import WORDS

TOKENS, CONTEXT, SLOTS = 128, 1024, 16


def fresh(dice):
    return " ".join(dice.choice(WORDS) for _ in range(120))


def lure(dice):
    begin = " ".join(dice.choice(WORDS) for _ in range(5))
    return "\n".join(f"The {begin} of the {dice.choice(WORDS)} {dice.choice(WORDS)}." for _ in range(16)) + "\nThe " + begin


def pair(servers, turn, prompts, seed):
    """Seconds of both, the one that goes first changing from turn to turn."""
    seconds = {}
    for name in sorted(servers, reverse=turn % 2 == 1):
        servers[name].go_on()
        seconds[name] = servers[name].ask("sampled", prompts=prompts, tokens=TOKENS, seed=seed)
        servers[name].pause()
    return seconds


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--streams", default="1,2,4,8,16")
    parser.add_argument("--fifo", action="store_true")
    parser.add_argument("--hearth", default=os.path.join(HERE, "..", "build", "release", "hearth"))
    o = parser.parse_args()
    command = [o.hearth, "serve", o.model, "--port", "{port}", "--parallel", str(SLOTS), "--ctx", str(CONTEXT)]
    servers = {}
    with open(os.devnull, "w") as log:
        try:
            for name, more in (("plain", ["--no-draft"]), ("guessing", [])):
                servers[name] = engines.Server(command + more, o.fifo, log)
                servers[name].settle()
                servers[name].pause()
            for kind in (fresh, lure):
                for streams in map(int, o.streams.split(",")):
                    ratios = []
                    for turn in range(o.rounds):
                        dice = random.Random(1000 * turn + streams)
                        seconds = pair(servers, turn, [kind(dice) for _ in range(streams)], turn)
                        ratios.append(seconds["plain"] / seconds["guessing"])
                    print(f"{kind.__name__:6} {streams:3} streams: {statistics.median(ratios):.3f} (median of {len(ratios)}; "
                          f"{min(ratios):.3f} to {max(ratios):.3f})", flush=True)
        finally:
            for server in servers.values():
                server.end()


main()
