"""A model that sees, tiny and random, on the reference backend: one picture however it comes is looked at once, no picture is
taken for another, and what fails says why."""
import base64, concurrent.futures, http.server, json, os, pathlib, random, socket, struct, tempfile, threading, time, unittest, urllib.request, zlib

import openai
from openai import OpenAI

from run import serving

MODELS = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "tiny"


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(seed, width=96, height=64, filtered=False, level=6):
    """The same pixels for a seed, in one encoding or another."""
    rows, before = [], bytes(width * 3)
    dice = random.Random(seed)
    for _ in range(height):
        row = dice.randbytes(width * 3)
        rows.append(b"\2" + bytes((a - b) & 255 for a, b in zip(row, before)) if filtered else b"\0" + row)
        before = row
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    text = chunk(b"tEXt", b"Comment\0another file") if filtered else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + text + chunk(b"IDAT", zlib.compress(b"".join(rows), level)) + chunk(b"IEND", b"")


def address(data, kind="image/png"):
    return f"data:{kind};base64," + base64.b64encode(data).decode()


class Files(http.server.BaseHTTPRequestHandler):
    """/SEED.png; /slow gives a byte now and then; /text is no picture."""

    def do_GET(self):
        if self.path == "/slow":
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            try:
                for _ in range(300):
                    self.wfile.write(b"x")
                    time.sleep(0.1)
            except OSError:
                self.server.given_up.set()
            return
        body = b"<html>no picture</html>" if self.path == "/text" else png(int(self.path[1:-4]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.files = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)
        cls.files.given_up = threading.Event()
        cls.site = f"http://127.0.0.1:{cls.files.server_port}"
        threading.Thread(target=cls.files.serve_forever, daemon=True).start()
        cls.folder = tempfile.TemporaryDirectory()
        cls.running = serving(os.environ["HEARTH"], str(MODELS / cls.model), "--backend", cls.backend, "--no-pack", "--ctx", "512", "--patches", "1024",
                              "--features", "4m", "--media-root", cls.folder.name, "--media-host", f"127.0.0.1:{cls.files.server_port}")
        cls.port, _ = cls.running.__enter__()
        cls.base = f"http://127.0.0.1:{cls.port}"
        cls.client = OpenAI(base_url=f"{cls.base}/v1", api_key="none", max_retries=0)

    @classmethod
    def tearDownClass(cls):
        cls.running.__exit__(None, None, None)
        cls.files.shutdown()
        cls.files.server_close()
        cls.client.close()
        cls.folder.cleanup()

    def metric(self, name):
        with urllib.request.urlopen(f"{self.base}/metrics") as answer:
            return next(float(line.split()[1]) for line in answer.read().decode().splitlines() if line.startswith(name + " "))

    def ask(self, *urls, words="What is it?", **options):
        content = [{"type": "image_url", "image_url": {"url": url}} for url in urls] + [{"type": "text", "text": words}]
        return self.client.chat.completions.create(model="default", messages=[{"role": "user", "content": content}], temperature=0,
                                                   **{"max_tokens": 8, **options})

    def told(self, answer):
        return answer.choices[0].message.content, answer.model_dump()["cache"]


class Seen(Server):
    model, backend = "qwen3_vl", "ref"

    def test_one_picture_however_it_comes(self):
        path = pathlib.Path(self.folder.name) / "picture.png"
        path.write_bytes(png(1))
        before = self.metric("hearth_encodings_total")
        ways = [f"{self.site}/1.png", address(png(1)), address(png(1, filtered=True, level=1)), str(path), f"file://{path}",
                "file://localhost" + str(path).replace("picture", "p%69cture"), address(png(1)).replace("base64", "Base64"),
                address(png(1)).replace("+", "%2B").replace("=", "%3d")]
        texts = {self.told(self.ask(way, words=f"Question {i}", max_tokens=4))[0] for i, way in enumerate(ways)}
        self.assertEqual(self.metric("hearth_encodings_total"), before + 1)
        self.assertEqual(len({self.told(self.ask(way))[0] for way in ways}), 1)
        self.assertEqual(self.metric("hearth_encodings_total"), before + 1)
        # Behind other words the blocks are others, the features are not.
        other = self.client.chat.completions.create(model="default", max_tokens=4, messages=[
            {"role": "user", "content": [{"type": "text", "text": "Look:"}, {"type": "image_url", "image_url": address(png(1))}]}])
        self.assertEqual(other.model_dump()["cache"]["pictures"], {"skipped": 0, "found": 1, "encoded": 0})
        self.assertEqual(self.metric("hearth_encodings_total"), before + 1)
        self.assertTrue(texts)

    def test_a_question_more(self):
        picture = address(png(2, 160, 128))
        first = self.ask(picture, words="First question").model_dump()
        again = self.ask(picture, words="Another one, then").model_dump()
        self.assertEqual(first["cache"]["pictures"]["encoded"], 1)
        self.assertEqual(again["cache"]["pictures"], {"skipped": 1, "found": 0, "encoded": 0})
        self.assertGreaterEqual(again["usage"]["prompt_tokens_details"]["cached_tokens"], 20)
        self.assertEqual(again["cache"]["reason"], "other text")

    def test_salts_share_nothing(self):
        def pictures(salt):
            return self.told(self.ask(address(png(9)), extra_body={"cache_salt": salt} if salt else {}, max_tokens=1))[1]["pictures"]

        fresh, known = {"skipped": 0, "found": 0, "encoded": 1}, {"skipped": 1, "found": 0, "encoded": 0}
        self.assertEqual([pictures(salt) for salt in ("one", "two", None, "one", "two", None)], [fresh] * 3 + [known] * 3)

    def test_order_and_others(self):
        a, b = address(png(3)), address(png(4))
        one, two = self.told(self.ask(a, b)), self.told(self.ask(b, a))
        self.assertNotEqual(one[0], two[0])
        self.assertEqual(two[1]["reason"], "other picture")
        self.assertLess(two[1]["cached_tokens"], 8)
        self.assertEqual(two[1]["pictures"], {"skipped": 0, "found": 2, "encoded": 0})

    def test_no_picture_for_another(self):
        def pair(seed):
            return [self.told(self.ask(address(png(seed + k, 64, 64)), max_tokens=6)) for k in (0, 1)]

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = [one for both in pool.map(pair, range(1000, 1200, 2)) for one in both]
        self.assertTrue(all(cache["cached_tokens"] < 8 for _, cache in answers))
        self.assertGreater(len({text for text, _ in answers}), 150)
        self.assertEqual(self.metric("hearth_cache_mismatches_total"), 0)

    def test_verified(self):
        picture = address(png(5))
        self.ask(picture)
        for stream in (False, True):
            options = dict(extra_headers={"X-Cache-Verify": "1"}, stream=stream)
            answer = self.ask(picture, **options)
            cache = [c.model_dump() for c in answer][-1]["cache"] if stream else answer.model_dump()["cache"]
            self.assertGreater(cache["cached_tokens"], 8)
            self.assertEqual((cache["verify"]["same"], cache["verify"]["logprobs_apart"]), (True, 0))
            self.assertGreaterEqual(cache["verify"]["tokens"], 1)
        self.assertGreaterEqual(self.metric("hearth_cache_verified_total"), 2)
        self.assertEqual(self.metric("hearth_cache_mismatches_total"), 0)

    def refused(self, url, words, code=400):
        with self.assertRaises(openai.APIStatusError) as caught:
            self.ask(url)
        self.assertEqual(caught.exception.status_code, code)
        self.assertIn(words, str(caught.exception))
        self.assertEqual(caught.exception.body["param"], "messages[0].content[0]")

    def test_refusals(self):
        outside = tempfile.NamedTemporaryFile(suffix=".png")
        self.addCleanup(outside.close)
        outside.write(png(6))
        outside.flush()
        link = pathlib.Path(self.folder.name) / "link.png"
        if not link.is_symlink():
            link.symlink_to(outside.name)
        before = self.metric("hearth_media_decode_failures_total")
        self.refused(outside.name, "--media-root")
        self.refused(str(link), "--media-root")
        self.refused(f"{self.folder.name}/../../etc/passwd", "--media-root")
        self.refused(f"{self.site}/text", "HTML: not read here")
        self.refused("http://127.0.0.1:1/x.png", "loopback")
        self.refused("http://169.254.169.254/latest/meta-data", "link-local")
        self.refused(address(png(6)[:300]), "truncated")
        bomb = png(6, 1, 1)
        bomb = bomb[:8] + chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)) + bomb[33:]
        self.refused(address(bomb), "PNG")
        self.refused("gopher://example.com/", "http://")
        self.assertEqual(self.metric("hearth_media_decode_failures_total"), before + 3)

    def test_bomb_behind_the_pixels(self):
        """What is left in a PNG's data when the last row is there: gigabytes, were it unpacked."""
        packer = zlib.compressobj(9)
        packed = packer.compress(bytes(1 << 24)) + packer.flush(zlib.Z_FULL_FLUSH)
        packed += 400 * (packer.compress(bytes(1 << 24)) + packer.flush(zlib.Z_FULL_FLUSH))
        bomb = png(6, 1, 1)
        bomb = bomb[:33] + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
        begun = time.monotonic()
        self.refused(address(bomb), "behind the last row")
        self.assertLess(time.monotonic() - begun, 3)

    def test_file_written_while_it_is_read(self):
        path = pathlib.Path(self.folder.name) / "changing.png"
        path.write_bytes(png(8) + bytes(40 << 20))
        whole, over = path.stat().st_size, threading.Event()

        def change():
            while not over.wait(0.002):
                os.truncate(path, 100)
                time.sleep(0.002)
                os.truncate(path, whole)

        changer = threading.Thread(target=change)
        changer.start()
        try:
            for _ in range(20):
                try:
                    self.ask(str(path), max_tokens=1)
                except openai.BadRequestError:
                    pass
        finally:
            over.set()
            changer.join()
        self.assertEqual(self.ask(address(png(8)), max_tokens=1).usage.completion_tokens, 1)

    def test_time_runs_out_while_it_is_fetched(self):
        begun = time.monotonic()
        with self.assertRaises(openai.APIStatusError) as caught:
            self.ask(f"{self.site}/slow", extra_body={"timeout": 1})
        self.assertEqual(caught.exception.status_code, 504)
        self.assertIn("time of 1 s", str(caught.exception))
        self.assertLess(time.monotonic() - begun, 8)

    def test_client_goes_while_it_is_fetched(self):
        body = json.dumps({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": f"{self.site}/slow"}]}]}).encode()
        with socket.create_connection(("127.0.0.1", self.port)) as s:
            s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                      % (len(body), body))
            time.sleep(1)
        self.assertTrue(self.files.given_up.wait(15))
        self.assertEqual(self.ask(address(png(7)), max_tokens=1).usage.completion_tokens, 1)

    def test_many_at_once(self):
        """Some vanish, some are answered; in the end nobody holds anything."""
        pictures = [address(png(20 + i, 160, 160)) for i in range(4)]

        def one(i):
            try:
                return self.ask(pictures[i % 4], words=f"Question {i}", timeout=0.05 if i % 5 == 0 else 60).choices[0].finish_reason
            except (openai.APITimeoutError, openai.APIConnectionError):
                return "gone"

        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            ends = list(pool.map(one, range(48)))
        self.assertTrue(set(ends) <= {"stop", "length", "gone"})
        for _ in range(100):
            with urllib.request.urlopen(f"{self.base}/v1/status") as answer:
                now = json.load(answer)
            if now["num_running"] + now["num_waiting"] + now["cache"]["blocks_used"] == 0:
                break
            time.sleep(0.1)
        self.assertEqual(now["num_running"] + now["num_waiting"] + now["cache"]["blocks_used"], 0)
        self.assertEqual(self.metric("hearth_media_pixels_bytes"), 0)
        self.assertLessEqual(self.metric("hearth_features_bytes"), self.metric("hearth_features_bytes_max"))


class Videos(Server):
    """Every pair of frames is a picture of its own.  The numbers of tokens are those of transformers' processors."""
    model, backend = "qwen3_vl", "ref"
    clip = MODELS.parent / "media" / "count.mp4"

    def watch(self, words="What?", url=None, **extra):
        content = [{"type": "video_url", "video_url": {"url": url or address(self.clip.read_bytes(), "video/mp4")}}, {"type": "text", "text": words}]
        return self.client.chat.completions.create(model="default", messages=[{"role": "user", "content": content}], max_tokens=4,
                                                   temperature=0, extra_body=extra, extra_headers={"X-Cache-Verify": "1"}).model_dump()

    @unittest.skipUnless((pathlib.Path(os.environ["HEARTH"]).parent / "hearth-video").exists(), "hearth-video is not built")
    def test_pairs(self):
        first, again = self.watch(), self.watch("What else is there?")
        self.assertEqual(first["usage"]["prompt_tokens"], 158)
        self.assertEqual(first["cache"]["pictures"]["encoded"], 10)
        self.assertEqual(again["cache"]["pictures"], {"skipped": 10, "found": 0, "encoded": 0})
        self.assertEqual(self.watch(video_fps=1)["usage"]["prompt_tokens"], 98)
        self.assertEqual(self.watch(video_max_frames=6)["cache"]["pictures"]["encoded"] % 3, 0)
        self.assertEqual(self.metric("hearth_cache_mismatches_total"), 0)
        with self.assertRaises(openai.BadRequestError):
            self.watch(url=address(png(1), "video/mp4")[:-40])
        with self.assertRaises(openai.BadRequestError):
            self.watch(video_fps=-1)

    def test_guarded(self):
        with self.assertRaises(openai.APIStatusError) as caught:
            self.watch(url="http://127.0.0.1:1/x.mp4")
        self.assertIn("loopback", str(caught.exception))


class SeenByCpu(Seen):
    backend = "cpu"


class Others(Server):
    """Whatever stands around it and whoever else is served: each answer is what it is without caches."""
    model, backend = "gemma3_vl", "cpu"

    def test_verified_together(self):
        def one(i):
            pictures = [address(png(300 + (i + k) % 5, 70, 50)) for k in range(1 + i % 3)]
            cache = self.told(self.ask(*pictures, words=f"Question {i % 4}", max_tokens=24, extra_headers={"X-Cache-Verify": "1"}))[1]
            return cache["verify"]

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            told = list(pool.map(one, range(48)))
        self.assertTrue(all(one["same"] and one["tokens"] >= 1 for one in told), told)
        self.assertEqual(self.metric("hearth_cache_mismatches_total"), 0)


class OthersQwen(Others):
    model = "qwen2_5_vl"


class OthersLlava(Others):
    model = "llava"


del Server                          # it has no tests of its own
