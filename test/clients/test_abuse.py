"""A thousand malformed requests, two hundred clients that vanish: the server stays up, nothing leaks, memory is flat."""
import http.client, json, os, random, socket, unittest

from common import PORT, raw, resident_kb, status, wait_until_idle, wait_until_touched

GOOD = {"model": "smollm2", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 2, "temperature": 0}


def mutated(rng):
    """A body that is wrong somewhere: cut, with a byte changed, or with a value of another type or size in it."""
    text = json.dumps(GOOD)
    kind = rng.randrange(4)
    if kind == 0:
        return text[: rng.randrange(len(text))].encode()
    if kind == 1:
        data = bytearray(text.encode())
        data[rng.randrange(len(data))] = rng.randrange(256)
        return bytes(data)
    body = json.loads(text)
    odd = [None, True, -1, 10**30, 1e308, "", "x" * 5000, [], {}, [[]], {"a": {"b": []}}, "\ud800", 3.5, -0.0]
    fields = ["model", "messages", "max_tokens", "temperature", "top_p", "top_k", "min_p", "seed", "n", "stop", "stream", "stream_options", "logprobs",
              "top_logprobs", "logit_bias", "presence_penalty", "frequency_penalty", "repetition_penalty", "tools", "tool_choice", "response_format",
              "chat_template_kwargs", "timeout", "user"]
    if kind == 2:
        body[rng.choice(fields)] = rng.choice(odd)
    else:
        body["messages"] = [{"role": rng.choice(["user", "system", 5, None, "tool"]), "content": rng.choice(odd)} for _ in range(rng.randrange(3))]
    return json.dumps(body).encode()


class Abuse(unittest.TestCase):
    def test_malformed(self):
        rng = random.Random(1)
        codes = {}
        for _ in range(1000):
            code, _, answer = raw("POST", rng.choice(["/v1/chat/completions", "/v1/completions"]), mutated(rng))
            codes[code] = codes.get(code, 0) + 1
            if code != 200:
                error = json.loads(answer)["error"]
                self.assertTrue(error["message"] and error["type"], answer)
        self.assertEqual({code for code in codes if code not in (200, 400, 404)}, set(), codes)
        self.assertGreater(codes.get(400, 0), 300, codes)
        self.assertEqual(wait_until_idle()["cache"]["blocks_used"], 0)

    def test_errors_of_the_wire_are_json_too(self):
        host = "Host: x\r\n"
        for request, code in (
                ("hello\r\n\r\n", 400), (f"GET /health\r\n{host}\r\n", 400), (f"GET /health HTTP/3.7\r\n{host}\r\n", 505),
                ("GET /health HTTP/1.1\r\n\r\n", 400), (f"GET /health HTTP/1.1\r\n{host}none\r\n\r\n", 400),
                (f"GET /health HTTP/1.1\r\n{host}X: a\r\n b\r\n\r\n", 400), (f"GET /health HTTP/1.1\r\n{host}X: a\0b\r\n\r\n", 400),
                (f"GET /health HTTP/1.1\r\n{host}X: {'x' * 100000}\r\n\r\n", 431), (f"GET /{'x' * 100000} HTTP/1.1\r\n{host}\r\n", 431),
                (f"POST /v1/completions HTTP/1.1\r\n{host}Content-Length: x\r\n\r\n", 400),
                (f"POST /v1/completions HTTP/1.1\r\n{host}Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{{}}", 415)):
            with self.subTest(request=request[:80]), socket.create_connection(("127.0.0.1", PORT), timeout=20) as s:
                s.sendall(request.encode())
                answer = http.client.HTTPResponse(s)
                answer.begin()
                self.assertEqual((answer.status, answer.headers["Content-Type"]), (code, "application/json"))
                error = json.loads(answer.read())["error"]
                self.assertTrue(error["message"])
                self.assertEqual(error["type"], "invalid_request_error")

    def test_a_client_that_shuts_down_its_sending_side_is_answered(self):
        for stream in (False, True):
            body = json.dumps({**GOOD, "max_tokens": 100, "stream": stream})
            with socket.create_connection(("127.0.0.1", PORT), timeout=60) as s:
                s.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
                s.shutdown(socket.SHUT_WR)
                answer = http.client.HTTPResponse(s)
                answer.begin()
                self.assertEqual(answer.status, 200)
                text = answer.read()
                self.assertIn(b"finish_reason", text)
                if stream:
                    self.assertTrue(text.endswith(b"data: [DONE]\n\n"))

    def vanish(self, after_bytes):
        body = json.dumps({**GOOD, "max_tokens": 400, "stream": True, "messages": [{"role": "user", "content": "Write a long story."}]})
        with socket.create_connection(("127.0.0.1", PORT)) as s:
            s.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
            if after_bytes:
                s.recv(after_bytes)

    def test_connections_leave_nothing(self):
        """No model is asked, so that memory is flat but for the connections: they hold 32 KB each."""
        pid = int(os.environ["HEARTH_PID"])

        def come_and_go(n):
            for i in range(n):
                with socket.create_connection(("127.0.0.1", PORT), timeout=20) as s:
                    s.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" if i % 2 else b"GET /bad\r\n\r\n")
                    if i % 3:
                        s.recv(1000)
            return resident_kb(pid)

        wait_until_touched(pid)
        before = come_and_go(400)
        self.assertLess(come_and_go(800) - before, 4 * 1024, "memory grew")

    def test_vanishing_clients(self):
        pid = int(os.environ["HEARTH_PID"])
        for i in range(20):
            self.vanish((i % 3) * 200)
        wait_until_idle()
        wait_until_touched(pid)
        before = resident_kb(pid)
        for i in range(200):
            self.vanish((i % 3) * 200)
        self.assertEqual(wait_until_idle()["cache"]["blocks_used"], 0)
        self.assertEqual(status()["num_running"], 0)
        self.assertLess(resident_kb(pid) - before, 8 * 1024, "memory grew")
        code, _, answer = raw("POST", "/v1/chat/completions", json.dumps(GOOD))
        self.assertEqual(code, 200, answer)


if __name__ == "__main__":
    unittest.main()
