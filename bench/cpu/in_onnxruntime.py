"""in_onnxruntime.py FOLDER THREADS -- onnxruntime-genai, one batch whose rows begin and end together.  See in_process.py."""
import json

import numpy, onnxruntime_genai as genai

import in_process


class Engine:
    remembers = False           # every batch is a new generator

    def __init__(self, model, threads):
        config = genai.Config(model)
        config.overlay(json.dumps({"model": {"decoder": {"session_options": {"intra_op_num_threads": threads}}}}))
        self.model = genai.Model(config)

    def batch(self, prompts, tokens):
        rows = numpy.stack(prompts).astype(numpy.int32)
        wish = genai.GeneratorParams(self.model)
        length = rows.shape[1] + tokens + 1
        wish.set_search_options(max_length=length, min_length=length, batch_size=len(rows), do_sample=False)
        generator, n = genai.Generator(self.model, wish), 0
        generator.append_tokens(rows if len(rows) > 1 else rows[0])
        while n < tokens and not generator.is_done():
            generator.generate_next_token()
            n += 1
        return n * len(rows)


in_process.serve(Engine)
