"""The official package against the real server."""
import threading, unittest

import openai

from common import client, raw, status, wait_until_idle

QUESTION = [{"role": "user", "content": "What is the capital of France? Answer in one sentence."}]


class Chat(unittest.TestCase):
    def test_models(self):
        models = client().models.list().data
        self.assertEqual([model.id for model in models], ["smollm2"])
        self.assertEqual(client().models.retrieve("smollm2").id, "smollm2")
        with self.assertRaises(openai.NotFoundError):
            client().models.retrieve("gpt-17")

    def test_answer_is_right(self):
        answer = client().chat.completions.create(model="smollm2", messages=QUESTION, temperature=0, max_tokens=40)
        self.assertIn("Paris", answer.choices[0].message.content)
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        self.assertEqual(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens)

    def test_stream_equals_whole(self):
        ask = dict(model="default", messages=QUESTION, temperature=0.8, seed=7, max_tokens=60)
        whole = client().chat.completions.create(**ask)
        chunks = list(client().chat.completions.create(**ask, stream=True, stream_options={"include_usage": True}))
        text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
        ends = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
        self.assertEqual(text, whole.choices[0].message.content)
        self.assertEqual(ends, [whole.choices[0].finish_reason])
        self.assertEqual(chunks[0].choices[0].delta.role, "assistant")
        self.assertEqual(chunks[-1].usage.completion_tokens, whole.usage.completion_tokens)
        self.assertEqual(len({chunk.id for chunk in chunks}), 1)

    def test_several_choices_and_seeds(self):
        ask = dict(model="smollm2", messages=[{"role": "user", "content": "Say something about rain."}], temperature=1.0, max_tokens=24)
        three = client().chat.completions.create(**ask, n=3, seed=11)
        again = client().chat.completions.create(**ask, n=3, seed=11)
        other = client().chat.completions.create(**ask, n=3, seed=12)
        texts = lambda answer: [choice.message.content for choice in answer.choices]
        self.assertEqual([choice.index for choice in three.choices], [0, 1, 2])
        self.assertEqual(texts(three), texts(again))
        self.assertNotEqual(texts(three), texts(other))
        self.assertEqual(len(set(texts(three))), 3)

    def test_stop_and_length(self):
        ask = dict(model="smollm2", messages=[{"role": "user", "content": "Count from 1 to 20, separated by commas."}], temperature=0)
        cut = client().chat.completions.create(**ask, max_tokens=5)
        self.assertEqual((cut.choices[0].finish_reason, cut.usage.completion_tokens), ("length", 5))
        free = client().chat.completions.create(**ask, max_tokens=60).choices[0].message.content
        stop = free[8:11]
        stopped = client().chat.completions.create(**ask, max_tokens=60, stop=[stop])
        self.assertEqual(stopped.choices[0].message.content, free[: free.index(stop)])
        self.assertEqual(stopped.choices[0].finish_reason, "stop")

    def test_logprobs(self):
        answer = client().chat.completions.create(model="smollm2", messages=QUESTION, temperature=0, max_tokens=6, logprobs=True, top_logprobs=3)
        for token in answer.choices[0].logprobs.content:
            self.assertEqual(len(token.top_logprobs), 3)
            self.assertAlmostEqual(token.logprob, token.top_logprobs[0].logprob)
            self.assertLessEqual(token.logprob, 0)
        self.assertEqual("".join(token.token for token in answer.choices[0].logprobs.content), answer.choices[0].message.content)

    def test_second_request_finds_the_first(self):
        words = "The history of the lighthouse is long and full of storms. " * 100
        ask = dict(model="smollm2", temperature=0, max_tokens=4)
        first = client().chat.completions.create(**ask, messages=[{"role": "user", "content": words + "First question?"}])
        second = client().chat.completions.create(**ask, messages=[{"role": "user", "content": words + "Second question?"}])
        self.assertLess(first.usage.prompt_tokens_details.cached_tokens, 64)
        cached = second.usage.prompt_tokens_details.cached_tokens
        # All but the last words: also what the prompts share of the block in which they part.
        self.assertGreater(cached, second.usage.prompt_tokens - 12)

    def test_completions(self):
        answer = client().completions.create(model="smollm2", prompt=["Once upon a time", "The sea"], max_tokens=8, temperature=0)
        self.assertEqual([choice.index for choice in answer.choices], [0, 1])
        echoed = client().completions.create(model="smollm2", prompt="The sea", max_tokens=4, temperature=0, echo=True)
        self.assertTrue(echoed.choices[0].text.startswith("The sea"))
        parts = [c.choices[0].text for c in client().completions.create(model="smollm2", prompt="The sea", max_tokens=8, temperature=0, stream=True) if c.choices]
        self.assertEqual("".join(parts), answer.choices[1].text)


class Refusals(unittest.TestCase):
    def refused(self, kind, param=None, **fields):
        with self.assertRaises(kind) as caught:
            client().chat.completions.create(**{"model": "smollm2", "messages": QUESTION, **fields})
        if param:
            self.assertEqual(caught.exception.body["param"], param)
        return caught.exception

    def test_by_name(self):
        self.refused(openai.NotFoundError, model="gpt-17")
        self.refused(openai.BadRequestError, "temperature", temperature=-1)
        self.refused(openai.BadRequestError, "max_tokens", max_tokens=0)
        self.refused(openai.BadRequestError, "tools", tools=[{"type": "function", "function": {"name": "f", "parameters": {}}}])
        self.refused(openai.BadRequestError, "response_format", response_format={"type": "json_object"})
        self.refused(openai.BadRequestError, messages=[{"role": "wizard", "content": "x"}])

    def test_context_overflow_names_the_counts(self):
        error = self.refused(openai.BadRequestError, messages=[{"role": "user", "content": "word " * 20000}])
        self.assertEqual(error.body["code"], "context_length_exceeded")
        self.assertRegex(error.body["message"], r"4096")

    def test_unknown_field_is_served_and_named(self):
        code, headers, _ = raw("POST", "/v1/chat/completions", '{"model":"smollm2","messages":[{"role":"user","content":"Hi"}],"max_tokens":1,"frobnicate":1}')
        self.assertEqual(code, 200)
        self.assertEqual(headers["X-Ignored-Fields"], "frobnicate")


class Many(unittest.TestCase):
    def test_sixteen_clients_at_once(self):
        """Every stream complete and correct: each equals its own answer asked alone, one finish_reason, no block left."""
        ask = [dict(model="smollm2", messages=[{"role": "user", "content": f"Tell me a fact about the number {i}."}], temperature=0.7, seed=i, max_tokens=32)
               for i in range(16)]
        alone = [client().chat.completions.create(**a).choices[0] for a in ask]
        together, problems = [None] * 16, []

        def run(i):
            try:
                if i % 2:
                    choice = client().chat.completions.create(**ask[i]).choices[0]
                    together[i] = (choice.message.content, [choice.finish_reason])
                else:
                    chunks = list(client().chat.completions.create(**ask[i], stream=True))
                    together[i] = ("".join(c.choices[0].delta.content or "" for c in chunks), [c.choices[0].finish_reason for c in chunks if c.choices[0].finish_reason])
            except Exception as problem:
                problems.append(repr(problem))

        threads = [threading.Thread(target=run, args=(i,)) for i in range(16)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        self.assertEqual(problems, [])
        self.assertEqual(together, [(choice.message.content, [choice.finish_reason]) for choice in alone])
        self.assertEqual(wait_until_idle()["cache"]["blocks_used"], 0)
        self.assertGreater(status()["steps_executed"], 0)


if __name__ == "__main__":
    unittest.main()
