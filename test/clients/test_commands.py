"""The other commands, as a newcomer types them, and what they say when something is wrong."""
import contextlib, http.server, json, os, pathlib, re, shutil, signal, socket, subprocess, tempfile, threading, unittest, urllib.request

HEARTH, MODEL, PORT = os.environ["HEARTH"], os.environ["HEARTH_MODEL"], os.environ["HEARTH_PORT"]
TINY = pathlib.Path(__file__).resolve().parents[1] / "fixtures/tiny/llama3"
DEMO = pathlib.Path(__file__).resolve().parents[2] / "scripts/demo"


def hearth(*arguments, **options):
    return subprocess.run([HEARTH, *arguments], capture_output=True, text=True, timeout=120, **options)


def is_here(address):
    """Whether the machine has this address: not all have IPv6, or more than one of 127.0.0.0/8."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as s:
        s.bind((address, 0))
        return True
    return False


class Commands(unittest.TestCase):
    def fails(self, status, pattern, *arguments):
        done = hearth(*arguments)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertRegex(done.stderr, pattern)
        self.assertEqual(done.stderr.strip().count("\n"), 0 if "table" not in pattern else done.stderr.strip().count("\n"))

    def test_help_names_every_command(self):
        text = hearth("--help").stdout
        for command in ("serve", "run", "inspect", "bench", "pull", "list", "rm", "doctor"):
            self.assertIn(command, text)
            self.assertIn("--help", hearth(command, "--help").stdout)
        version = hearth("--version").stdout
        self.assertRegex(version, r"^hearth \d+\.\d+\.\d+\n$")
        for command in ("serve", "run", "inspect", "bench"):
            self.assertEqual(hearth(command, "--version").stdout, version)
            self.assertEqual(hearth(command, MODEL, "--version").stdout, version)

    def test_run(self):
        done = hearth("run", MODEL, "What is the capital of France? Answer in one sentence.", "--temperature", "0", "--tokens", "40", "--memory", "1g")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("Paris", done.stdout)
        piped = hearth("run", MODEL, "--raw", "--temperature", "0", "--tokens", "4", "--memory", "1g", input="1, 2, 3, 4,")
        self.assertIn("5", piped.stdout)

    def test_inspect(self):
        report = json.loads(hearth("inspect", MODEL, "--json").stdout)
        self.assertEqual((report["architecture"], report["layers"], report["vocabulary"]), ("LlamaForCausalLM", 30, 49152))
        self.assertIn("30 of width 576", hearth("inspect", MODEL).stdout)

    def test_bench(self):
        rows = json.loads(hearth("bench", MODEL, "--json", "--prompt", "32", "--decode", "4", "--rounds", "1", "--memory", "1g").stdout)["rows"]
        self.assertEqual([row["streams"] for row in rows], [1, 4, 8, 16])
        kernels = hearth("bench", MODEL, "--kernels", "--memory", "1g").stdout
        self.assertIn("linear", kernels)
        for options in (["--prompt", "250", "--decode", "7"], ["--prompt", "1073741824", "--decode", "1073741824"], []):
            done = hearth("bench", MODEL, "--memory", "1g", "--ctx", "256", *options)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertRegex(done.stderr, "over the context of 256 .*--prompt")
        fits = hearth("bench", MODEL, "--memory", "1g", "--ctx", "256", "--prompt", "250", "--decode", "6", "--rounds", "1", "--parallel", "1")
        self.assertEqual((fits.returncode, fits.stdout.count("\n")), (0, 2), fits.stderr)

    def test_packed_weights_are_kept_listed_and_removed(self):
        with tempfile.TemporaryDirectory() as place:
            place, model = pathlib.Path(place), pathlib.Path(place) / "tiny"
            env = {**os.environ, "XDG_CACHE_HOME": str(place / "cache")}
            shutil.copytree(TINY, model, ignore=shutil.ignore_patterns("golden"))
            packed = lambda: sorted((place / "cache/hearth/packed").glob("*"))
            listed = lambda: json.loads(hearth("list", "--json", env=env).stdout)

            def answer(*options, **more):
                done = hearth("run", str(model), "--raw", "hello", "--temperature", "0", "--tokens", "8", "--memory", "1g", *options, env=env, **more)
                self.assertEqual(done.returncode, 0, done.stderr)
                return done.stdout

            self.assertIn("nothing", hearth("list", env=env).stdout)
            want = answer("--no-pack")
            self.assertEqual((packed(), listed()), ([], []))
            self.assertIsNone(json.loads(hearth("inspect", str(model), "--json", env=env).stdout)["packed"])
            self.assertEqual(answer(), want)
            first, = packed()
            made = first.stat().st_ino
            os.utime(first, (5, 5))
            self.assertEqual(answer(), want)
            self.assertEqual((packed(), first.stat().st_ino), ([first], made))
            self.assertGreater(first.stat().st_mtime, 1e9)                     # its use was noted
            row, = listed()
            self.assertEqual((row["name"], row["model"], row["path"], row["bytes"]),
                             ("tiny", str(model.resolve()), str(first), first.stat().st_size))
            self.assertIn(str(model.resolve()), hearth("list", env=env).stdout)
            self.assertEqual(json.loads(hearth("inspect", str(model), "--json", env=env).stdout)["packed"], str(first))
            os.utime(model / "model.safetensors")                               # another state of the model: the old file goes
            self.assertEqual(answer(), want)
            second, = packed()
            self.assertNotEqual(second, first)
            second.write_bytes(second.read_bytes()[:-1])
            self.assertIn("(damaged)", hearth("list", env=env).stdout)
            self.assertEqual(answer(), want)
            self.assertEqual([row["name"] for row in listed()], ["tiny"])
            wrong = hearth("rm", "tinny", env=env)
            self.assertEqual((wrong.returncode, packed()), (1, [second]))
            self.assertIn("hearth list", wrong.stderr)
            self.assertEqual(hearth("rm", env=env).returncode, 1)
            self.assertEqual(hearth("rm", "tiny", "--all", env=env).returncode, 1)
            self.assertRegex(hearth("rm", "tiny", env=env).stdout, rf"^removed {second} .*\nfreed .*B\n$")
            self.assertEqual(packed(), [])
            answer()
            self.assertIn("removed", hearth("rm", "--all", env=env).stdout)
            self.assertEqual((packed(), hearth("rm", "--all", env=env).stdout), ([], "freed 0 B\n"))
            starts = [subprocess.Popen([HEARTH, "run", str(model), "--raw", "hello", "--temperature", "0", "--tokens", "8", "--memory", "1g"],
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env) for _ in range(4)]
            self.assertEqual({start.communicate(timeout=120)[0] for start in starts}, {want})
            self.assertEqual(len(packed()), 1)
            (place / "file").write_text("")
            env["XDG_CACHE_HOME"] = str(place / "file")
            self.assertEqual(answer(), want)                                    # nowhere to keep it: no harm
            del env["XDG_CACHE_HOME"], env["HOME"]
            self.assertEqual(answer(), want)

    def test_serve_says_where_its_weights_are(self):
        with tempfile.TemporaryDirectory() as place:
            for pattern in (r"weights .*packed now, kept in (\S+\.pack)", r"weights .*packed, mapped from (\S+\.pack)", "weights"):
                options = ["--no-pack"] if pattern == "weights" else []
                with subprocess.Popen([HEARTH, "serve", MODEL, "--port", "0", "--memory", "1g", "--ctx", "1024", *options],
                                      stderr=subprocess.PIPE, text=True, env={**os.environ, "XDG_CACHE_HOME": place}) as server:
                    lines = []
                    for line in server.stderr:
                        lines.append(line)
                        if "listening" in line:
                            break
                    server.send_signal(signal.SIGTERM)
                    server.communicate(timeout=60)
                self.assertRegex("".join(lines), pattern)
                self.assertEqual("packed" in "".join(lines), not options)

    def doctor(self, status, *arguments, **environment):
        """The doctor's report as text, with a cache of its own; the proofs run once for every backend."""
        with tempfile.TemporaryDirectory() as cache:
            environment = {**os.environ, "HF_HUB_CACHE": cache, "XDG_CACHE_HOME": cache, **environment}
            done = subprocess.run([HEARTH, "doctor", "--port", PORT, *arguments], capture_output=True, text=True, timeout=300, env=environment)
            self.assertEqual(done.returncode, status, done.stderr + done.stdout)
            return done.stdout

    def test_doctor_finds_nothing_wrong(self):
        text = self.doctor(0, TINY, "--plugins", "/nowhere")
        for pattern in (r"system +\S", r"cores +\d+; hearth computes with \d+", r"memory +[\d.]+ GB, [\d.]+ [GM]B of it free", r"files +",
                        r"weights +[\d.]+ [GT]B free in ", r"models +[\d.]+ [GT]B free in ", r"cpu +\w+ kernels\n",
                        r"mlx +not here: the mlx backend was not built", rf"port +{PORT}: a hearth is here already",
                        r"memory +[\d.]+ GB/s read by one thread, [\d.]+ by", r"llama3, 1 at once: [\d.]+ tok/s read, [\d.]+ tok/s drawn",
                        r"cpu +fast +(\d+) of \1 cases pass; worst: \w+ \w+ [\d.e-]+, bound", r"cpu +exact +(\d+) of \1 cases pass",
                        r"everything fine\n$"):
            self.assertRegex(text, pattern)

    def test_doctor_finds_what_is_wrong(self):
        report = json.loads(self.doctor(1, "--json", "--plugins", str(pathlib.Path(HEARTH).resolve().parent / "wrong"), "--offline"))
        self.assertFalse(report["fine"])
        self.assertEqual(len(report["wrong"]), 2)
        self.assertIn("the mlx backend computes", report["wrong"][0])
        wrong = [row for row in report["ops"] if row["wrong"]]
        self.assertEqual({(row["backend"], row["op"]) for row in wrong}, {("mlx", "rope")})
        self.assertTrue(all(row["worst"] > row["bound"] and row["wrong"] == row["cases"] and row["first"] for row in wrong))
        self.assertTrue(all(row["worst"] <= row["bound"] for row in report["ops"] if not row["wrong"]))
        self.assertIn({"what": "model", "is": "none to measure: hearth doctor MODEL"}, report["speed"])

    def test_doctor_tells_a_broken_plugin_and_a_broken_model(self):
        with tempfile.TemporaryDirectory() as folder, socket.socket() as taken:
            pathlib.Path(folder, "hearth-mlx.so").write_text("no library")
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            text = self.doctor(1, "--plugins", folder, "--port", str(taken.getsockname()[1]), folder + "/gone.gguf")
        self.assertRegex(text, "wrong\n  \\* the mlx backend cannot be loaded.*\n  \\* .*gone.gguf on cpu: .*No such file")
        self.assertRegex(text, "another program listens there")
        self.assertRegex(text, "paste all of this into an issue")

    def test_errors_say_what_next(self):
        self.fails(2, "no command", "srve")
        self.fails(2, "MODEL", "serve")
        self.fails(2, "whole number", "serve", MODEL, "--port", "http")
        self.fails(2, "no option", "serve", MODEL, "--colour")
        self.fails(1, "/no/such.gguf: No such file or directory; MODEL is .*scripts/fetch-model", "run", "/no/such.gguf", "x")
        self.fails(1, "api-key", "serve", MODEL, "--host", "0.0.0.0")
        self.fails(1, f"{PORT}.*--port", "serve", MODEL, "--port", PORT, "--memory", "1g")
        self.fails(1, "(?s)memory.*--memory|table", "serve", MODEL, "--memory", "10m")
        with tempfile.NamedTemporaryFile(suffix=".gguf") as short:
            with open(MODEL, "rb") as whole:
                short.write(whole.read(1 << 20))
            short.flush()
            self.fails(1, "gguf", "inspect", short.name)

    def test_a_folder_that_is_no_model_says_what_one_is(self):
        with tempfile.TemporaryDirectory() as folder:
            self.fails(1, f"{folder}/config.json: No such file.*; a model's folder holds config.json.*scripts/fetch-model", "serve", folder)
            shutil.copy(TINY / "config.json", folder)
            self.fails(1, f"{folder} holds no .safetensors file; a model's folder holds", "inspect", folder)

    def test_the_demo_asks_no_other_server(self):
        demo = lambda port: subprocess.run([DEMO], capture_output=True, text=True, timeout=60, env={**os.environ, "PORT": str(port)})
        done = demo(PORT)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertRegex(done.stderr, f"^demo: a hearth serving smollm2 answers on 127.0.0.1:{PORT} already; .*PORT={int(PORT) + 1} scripts/demo\n$")
        with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as other:
            threading.Thread(target=other.serve_forever, daemon=True).start()
            done = demo(other.server_port)
            other.shutdown()
        self.assertRegex(done.stderr, "^demo: another server answers on")

    def test_numbers_have_a_range(self):
        for command, option, least, most in (
                ("serve", "connections", "1", "100000"), ("serve", "body", "1k", "1g"), ("serve", "port", "0", "65535"),
                ("serve", "timeout", "1", "604800"), ("serve", "queue", "1", "1000000"), ("serve", "parallel", "1", "1024"),
                ("serve", "memory", "1m", "1024t"), ("run", "tokens", "1", "1073741824"), ("run", "threads", "1", "256"),
                ("run", "ctx", "1", "1073741824"), ("run", "temperature", "0", "100"), ("bench", "prompt", "1", "1073741824"),
                ("bench", "decode", "1", "1073741824"), ("bench", "rounds", "1", "99")):
            wrong = ["4294967296", "4294967297"] if option != "memory" else ["9999999t"]
            for value in wrong + (["0"] if least != "0" else []):
                self.fails(2, f"--{option} goes from {least} to {most}, not {value}$", command, MODEL, f"--{option}", value)
        self.fails(2, "--body wants a size", "serve", MODEL, "--body", "big")
        self.fails(2, "--body goes from 1k", "serve", MODEL, "--body=-1")
        self.fails(2, "whole number", "serve", MODEL, "--connections", "99999999999999999999")
        self.fails(2, "--temperature goes from", "run", MODEL, "--temperature", "inf")
        self.fails(2, "--temperature wants", "run", MODEL, "--temperature", "nan")

    def test_empty_texts_are_refused(self):
        for option in ("name", "host", "cors", "api-key", "backend", "log"):
            self.fails(2, f"--{option} may not be empty", "serve", MODEL, f"--{option}", "")
        self.fails(2, "--name takes 255 bytes, not 256", "serve", MODEL, "--name", "x" * 256)
        self.fails(2, "MODEL may not be empty", "inspect", "")

    def test_only_this_machine_needs_no_key(self):
        for host in ("127.evil.example", "127.1", "::", "::ffff:10.0.0.1", "128.0.0.1", "localhost.example", "fe80::1"):
            self.fails(1, "--api-key", "serve", MODEL, "--host", host)
        for host in ("127.0.0.1", "127.0.0.2", "localhost", "::1", "0:0::1"):
            if host != "localhost" and not is_here(host):
                continue
            shown = f"[{host}]" if ":" in host else host
            with self.subTest(host=host), subprocess.Popen(
                    [HEARTH, "serve", MODEL, "--host", host, "--port", "0", "--memory", "1g", "--ctx", "1024"],
                    stderr=subprocess.PIPE, text=True) as server:
                try:
                    line = next((line for line in server.stderr if "listening" in line), "")
                    url = re.search(r"http://\S+:[1-9]\d*(?= )", line)
                    self.assertIsNotNone(url, line)
                    self.assertTrue(url[0].startswith(f"http://{shown}:"), line)
                    with urllib.request.urlopen(url[0] + "/health", timeout=10) as answer:
                        self.assertEqual(answer.status, 200)
                finally:
                    server.send_signal(signal.SIGTERM)
                    server.communicate(timeout=60)
                self.assertEqual(server.returncode, 0)

    def test_a_broken_tokenizer_names_its_place_once(self):
        with tempfile.TemporaryDirectory() as folder:
            place = pathlib.Path(folder)
            shutil.copytree(TINY, place, dirs_exist_ok=True, ignore=shutil.ignore_patterns("golden"))
            (place / "tokenizer.json").write_text('{"model": {"type": "Magic"}}')
            self.fails(1, f"^hearth: {folder}: tokenizer.json: (?!tokenizer.json).*Magic", "inspect", folder)
            (place / "tokenizer.json").unlink()
            self.fails(1, f"^hearth: {folder} has no tokenizer.json", "inspect", folder)
            bare = place / "bare.gguf"
            bare.write_bytes(pathlib.Path(MODEL).read_bytes().replace(b"tokenizer.ggml.tokens", b"tokenizer.ggml.tokenz", 1))
            self.fails(1, f"^hearth: {bare}: .*no tokenizer", "inspect", str(bare))


if __name__ == "__main__":
    unittest.main()
