"""in_process.py -- the works of cpu_table.py for engines that have no server: orders as JSON lines on stdin, answers on stdout.

An engine has two functions:
  batch(prompts, tokens)  draws as many tokens for each prompt, and gives their number
  remembers               whether a prompt that was read before is read faster
"""
import json, os, sys, time

import numpy

import rates


class Works:
    def __init__(self, engine):
        self.engine = engine

    def prompts(self, n, length, seed):
        return [numpy.array(rates.token_ids(length, seed + i), numpy.int64) for i in range(n)]

    def timed(self, prompts, tokens):
        begin = time.perf_counter()
        n = self.engine.batch(prompts, tokens)
        return time.perf_counter() - begin, n

    def first_ms(self, prompt):
        return self.timed([prompt], 1)[0] * 1000

    def decode(self, streams, prompt, tokens, seed):
        prompts = self.prompts(streams, prompt, seed)
        self.timed(prompts, 1)
        one = self.timed(prompts, 1)
        return rates.drawn(self.timed(prompts, tokens), one)

    def prefill(self, prompt, seed):
        return prompt / self.first_ms(self.prompts(1, prompt, seed)[0]) * 1000

    def first(self, prompt, seed):
        ids = self.prompts(1, prompt, seed)[0]
        cold = self.first_ms(ids)
        return {"cold": cold, "repeated": self.first_ms(ids) if self.engine.remembers else None}


def serve(make_engine):
    """make_engine(model, threads); its libraries may write to stdout, so the answers go to a copy of it, and they to stderr."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    works = Works(make_engine(sys.argv[1], int(sys.argv[2])))
    works.first_ms(works.prompts(1, 8, 0)[0])
    print(json.dumps({"ready": True}), file=answers)
    for line in sys.stdin:
        order = json.loads(line)
        print(json.dumps({"value": getattr(works, order.pop("work"))(**order)}), file=answers)
