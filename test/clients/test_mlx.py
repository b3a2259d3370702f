"""A real server on the MLX backend, where it was built (on Linux MLX computes on the CPU, slowly)."""
import os, pathlib, subprocess, unittest

from openai import OpenAI
from run import serving

HEARTH, MODEL = os.environ["HEARTH"], os.environ["HEARTH_MODEL"]
HERE = pathlib.Path(HEARTH).resolve().parent


class Mlx(unittest.TestCase):
    def test_serves(self):
        if not pathlib.Path(HERE, "hearth-mlx.so").exists():
            return      # an architecture without MLX
        with serving(HEARTH, MODEL, "--backend", "mlx", "--precision", "exact", "--parallel", "2") as (port, _):
            client = OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0)
            ask = dict(model="smollm2", messages=[{"role": "user", "content": "What is the capital of France?"}], max_tokens=8)
            whole = client.chat.completions.create(**ask, temperature=0)
            self.assertIn("Paris", whole.choices[0].message.content)
            drawn = [client.chat.completions.create(**ask, temperature=1, seed=3, logprobs=True, top_logprobs=2) for _ in range(2)]
            self.assertEqual(drawn[0].choices[0].message.content, drawn[1].choices[0].message.content)
            self.assertEqual(len(drawn[0].choices[0].logprobs.content[0].top_logprobs), 2)
            pieces = [c.choices[0].delta.content or "" for c in client.chat.completions.create(**ask, temperature=0, stream=True)]
            self.assertEqual("".join(pieces), whole.choices[0].message.content)

    def test_says_what_is_missing(self):
        done = subprocess.run([HEARTH, "run", MODEL, "hi", "--backend", "mlx", "--plugins", "/nowhere"], capture_output=True, text=True)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("brew install mlx", done.stderr)
