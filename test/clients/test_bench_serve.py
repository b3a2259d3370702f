"""`hearth bench serve` against hearth, and against servers that are worse."""
import http.server, json, os, pathlib, subprocess, tempfile, threading, time, unittest, xml.etree.ElementTree
from contextlib import contextmanager

from common import BASE

HEARTH = os.environ["HEARTH"]


def bench(url, *options):
    return subprocess.run([HEARTH, "bench", "serve", "--url", url, *options], capture_output=True, text=True, timeout=120)


class Base(unittest.TestCase):
    def measure(self, url, *options, status=0):
        """The JSON of a run, and what it printed."""
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "run.json")
            done = bench(url, "--json", str(file), *options)
            self.assertEqual(done.returncode, status, done.stdout + done.stderr)
            return json.loads(file.read_text()), done


class Hearth(Base):
    def test_counts(self):
        run, done = self.measure(BASE + "/v1/", "--users", "3", "--requests", "7", "--prompt-tokens", "60", "--answer-tokens", "9", "--label", "me")
        self.assertEqual((run["requests_ok"], run["requests_limited"], run["requests_failed"]), (7, 0, 0))
        self.assertEqual((run["answer_tokens"], run["tokens_counted_by"], run["label"]), (63, "usage", "me"))
        self.assertEqual((run["first_ms"]["n"], run["whole_ms"]["n"], run["gap_ms"]["n"]), (7, 7, run["events"] - 7))
        self.assertAlmostEqual(run["prompt_tokens_mean"], 60, delta=6)
        self.assertAlmostEqual(run["answer_tok_s"], 63 / run["seconds"])
        for spread in (run["first_ms"], run["gap_ms"], run["whole_ms"]):
            self.assertEqual(len(spread["percentiles"]), 101)
            self.assertEqual(spread["percentiles"], sorted(spread["percentiles"]))
        self.assertLessEqual(run["first_ms"]["percentiles"][0], run["whole_ms"]["percentiles"][0])
        self.assertEqual((run["parameters"]["model"], run["parameters"]["users"], run["parameters"]["ignore_eos"]), ("smollm2", 3, True))
        self.assertRegex(run["date"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertIn("answer tokens a second", done.stdout)
        self.assertEqual(done.stderr, "")

    def test_chat_is_as_long_as_asked(self):
        run, _ = self.measure(BASE, "--chat", "--users", "2", "--requests", "4", "--prompt-tokens", "150", "--answer-tokens", "4")
        self.assertAlmostEqual(run["prompt_tokens_mean"], 150, delta=10)

    def test_caches_are_hit_on_purpose_only(self):
        own, _ = self.measure(BASE, "--requests", "4", "--prompt-tokens", "160", "--answer-tokens", "2")
        self.assertLess(own["cached_tokens"], 4 * 4)  # two random prompts may well begin with the same word
        shared, _ = self.measure(BASE, "--requests", "4", "--prompt-tokens", "160", "--shared-prefix", "128", "--answer-tokens", "2")
        self.assertGreater(shared["cached_tokens"], 3 * 96)
        self.assertLess(shared["cached_tokens"], 3 * 160)
        again, _ = self.measure(BASE, "--requests", "4", "--prompt-tokens", "160", "--answer-tokens", "2", "--seed", str(own["parameters"]["seed"]))
        self.assertGreater(again["cached_tokens"], 4 * 96)

    def test_open_loop(self):
        run, _ = self.measure(BASE, "--rate", "20", "--requests", "12", "--prompt-tokens", "20", "--answer-tokens", "3", "--seed", "1")
        self.assertEqual(run["requests_ok"], 12)
        self.assertGreater(run["seconds"], 0.2)

    def test_compare_and_plot(self):
        with tempfile.TemporaryDirectory() as folder:
            place = pathlib.Path(folder)
            ask = ("--requests", "2", "--prompt-tokens", "20", "--answer-tokens", "3", "--json", str(place / "a.json"))
            self.assertEqual(bench(BASE, *ask, "--label", "first <&>").returncode, 0)
            done = bench(BASE, *ask, "--label", "second", "--compare", str(place / "a.json"), "--plot", str(place / "p.svg"))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertRegex(done.stdout, r"second +first <&>\n")
            texts = [node.text for node in xml.etree.ElementTree.parse(place / "p.svg").iter() if node.tag.endswith("text")]
            for text in ("first <&>", "second", "Answer tokens a second"):
                self.assertIn(text, texts)
            done = bench(BASE, "--compare", str(place / "p.svg"))
            self.assertEqual(done.returncode, 1)
            self.assertIn("p.svg", done.stderr)

    def test_what_fails(self):
        run, done = self.measure(BASE, "--requests", "2", "--prompt-tokens", "6000", status=1)
        self.assertEqual((run["requests_failed"], run["errors"]["http"]), (2, {"400": 2}))
        self.assertRegex(done.stderr, r"2 of 2 requests failed \(2 HTTP 400\); the first: HTTP 400: .*4096")
        for url, why in (("http://127.0.0.1:9", "Failed to connect|Couldn't connect"), ("http://192.0.2.1", "--any-host"), ("ftp://127.0.0.1", "--url wants"),
                         ("127.0.0.1:9x", "--url wants")):
            done = bench(url)
            self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (1, "", 1), done.stderr)
            self.assertRegex(done.stderr, why)
        for options, why in ((["--shared-prefix", "256"], "nothing of --prompt-tokens"), (["--requests", "1000000"], "over 16777216"),
                             (["--json", "/no/such/folder/x"], "No such file"), (["--api-key", "a b"], "blank"), (["--model", "gpt-17"], "answers 404: .*gpt-17")):
            done = bench(BASE, *options)
            self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
            self.assertRegex(done.stderr, why)

    def test_too_few_sockets(self):
        done = subprocess.run(["bash", "-c", 'ulimit -n 100; exec "$@"', "_", HEARTH, "bench", "serve", "--url", BASE, "--users", "99"], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertRegex(done.stderr, "99 requests at once .*--users")

    def test_two_words_make_the_command(self):
        self.assertIn("--shared-prefix", subprocess.run([HEARTH, "bench", "serve", "--help"], capture_output=True, text=True).stdout)
        self.assertIn("--kernels", subprocess.run([HEARTH, "bench", "--help"], capture_output=True, text=True).stdout)
        done = subprocess.run([HEARTH, "bench", "serve", "more"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stderr, "one argument too many for hearth bench serve")


class Peer(http.server.BaseHTTPRequestHandler):
    """A server that answers as the test's function says: it is given the body and yields pieces of bytes."""
    protocol_version = "HTTP/1.0"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.send_error(404)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = self.server.answer(body, self.headers)
        if isinstance(answer, int):
            self.send_response(answer)
            self.end_headers()
            self.wfile.write(b'{"error": {"message": "no, thank you"}}')
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for piece in answer:
            self.wfile.write(piece)
            self.wfile.flush()


@contextmanager
def peer(answer):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Peer)
    server.answer = answer
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def stream(body, usage=True, end=b"data: [DONE]\n\n"):
    for i in range(body["max_tokens"]):
        yield b'data: {"choices": [{"text": "w%d"}]}\n\n' % i
    if usage:
        yield b'data: {"choices": [], "usage": {"prompt_tokens": %d, "completion_tokens": %d}}\n\n' % (len(body["prompt"].split()) * 2, body["max_tokens"])
    yield end


class Peers(Base):
    ask = ("--requests", "6", "--users", "2", "--prompt-tokens", "40", "--answer-tokens", "3")

    def test_words_of_two_tokens(self):
        seen = []

        def answer(body, headers):
            seen.append((len(body["prompt"].split()), body["model"], headers["Authorization"]))
            return stream(body)

        with peer(answer) as url:
            run, _ = self.measure(url, *self.ask, "--api-key", "secret")
        self.assertEqual((run["requests_ok"], run["prompt_tokens_mean"], run["cached_tokens"], run["answer_tokens"]), (6, 40, None, 18))
        self.assertEqual(seen[2:], [(20, "default", "Bearer secret")] * 6)
        self.assertNotIn("secret", json.dumps(run))

    def test_without_ignore_eos_and_usage(self):
        with peer(lambda body, _: 400 if "ignore_eos" in body else stream(body, usage=False)) as url:
            run, done = self.measure(url, *self.ask)
        self.assertEqual((run["requests_ok"], run["tokens_counted_by"], run["answer_tokens"], run["parameters"]["ignore_eos"]), (6, "events", 18, False))
        self.assertRegex(done.stderr, "refuses ignore_eos(.|\n)*no usage")

    def test_overload_is_a_result(self):
        asked = []

        def answer(body, _):
            asked.append(1)
            return 429 if len(asked) in (4, 6) else stream(body)

        with peer(answer) as url:
            run, _ = self.measure(url, *self.ask)
        self.assertEqual((run["requests_ok"], run["requests_limited"], run["requests_failed"]), (4, 2, 0))

    def test_kinds_of_errors(self):
        def slow(body):
            yield b": wait\n\n"
            time.sleep(3)

        kinds = [lambda b: 500, lambda b: stream(b, end=b""), lambda b: [b'data: {"error": {"message": "burst"}}\n\n', b"data: [DONE]\n\n"],
                 lambda b: [b"data: [DONE]\n\n"], slow, stream]
        asked = []

        def answer(body, _):
            asked.append(1)
            return stream(body) if len(asked) < 3 else kinds[len(asked) - 3](body)

        with peer(answer) as url:
            run, done = self.measure(url, *self.ask, "--users", "1", "--timeout", "1", status=1)
        errors = run["errors"]
        self.assertEqual((run["requests_ok"], run["requests_failed"]), (1, 5))
        self.assertEqual([errors[k] for k in ("unreached", "timeout", "broken", "empty", "in_stream", "http")], [0, 1, 1, 1, 1, {"500": 1}])
        self.assertEqual(errors["first"], "HTTP 500: no, thank you")
        self.assertIn("1 timeout, 1 broken stream, 1 empty answer, 1 error within a stream, 1 HTTP 500", done.stderr)


if __name__ == "__main__":
    unittest.main()
