"""hearth pull, and serve, run, list and rm of models from a hub, against a stand-in with every fault (hub.py); and side by side with the
library that everybody else uses, over the same cache folder."""
import contextlib, fcntl, hashlib, json, os, pathlib, pty, re, resource, shutil, signal, subprocess, sys, tempfile, threading, time, unittest, urllib.request

from hub import Hub, blob_id

HEARTH, MODEL = os.environ["HEARTH"], os.environ["HEARTH_MODEL"]
FIXTURES = pathlib.Path(__file__).resolve().parents[1] / "fixtures/tiny"
TINY = {path.name: path.read_bytes() for path in (FIXTURES / "llama3").iterdir() if path.is_file()}
GGUF = (FIXTURES / "llama3_gguf/model.gguf").read_bytes()
ASK = ["--raw", "hello", "--temperature", "0", "--tokens", "8", "--memory", "1g"]


def in_shards(files):
    """The same weights in two files with an index over them."""
    whole = files["model.safetensors"]
    length = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + length])
    header.pop("__metadata__", None)
    names, out, index = sorted(header), {}, {}
    for number, part in enumerate((names[:5], names[5:]), 1):
        name, data, about = f"model-{number:05}-of-00002.safetensors", b"", {}
        for tensor in part:
            first, end = header[tensor]["data_offsets"]
            about[tensor] = {**header[tensor], "data_offsets": [len(data), len(data) + end - first]}
            data += whole[8 + length + first : 8 + length + end]
            index[tensor] = name
        text = json.dumps(about).encode()
        out[name] = len(text).to_bytes(8, "little") + text + data
    out["model.safetensors.index.json"] = json.dumps({"metadata": {}, "weight_map": index}).encode()
    return {**{name: data for name, data in files.items() if name != "model.safetensors"}, **out}


class Place:
    """A home folder of its own, and hearth in it."""

    def __init__(self, hub, home):
        self.home = pathlib.Path(home)
        self.cache = self.home / "cache/huggingface/hub"
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING", "SSL_CERT", "REQUESTS_CA")) and not k.lower().endswith("_proxy")}
        self.env = {**clean, "HOME": home, "XDG_CACHE_HOME": f"{home}/cache", "HF_ENDPOINT": hub.url, "HF_HUB_DOWNLOAD_TIMEOUT": "30"}

    def start(self, *arguments, **more):
        return subprocess.Popen([HEARTH, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**self.env, **more})

    def hearth(self, *arguments, **more):
        return subprocess.run([HEARTH, *arguments], capture_output=True, text=True, timeout=120, env={**self.env, **more})

    def python(self, code):
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env={**self.env, "HF_HUB_DISABLE_XET": "1"})

    def listed(self):
        return json.loads(self.hearth("list", "--json").stdout)

    def folder(self, repo="org/tiny"):
        return self.cache / f"models--{repo.replace('/', '--')}"


class HubTest(unittest.TestCase):
    def setUp(self):
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        self.hub = stack.enter_context(Hub())
        self.place = Place(self.hub, stack.enter_context(tempfile.TemporaryDirectory()))
        self.commit = self.hub.add("org/tiny", TINY)

    def pulls(self, name="org/tiny", **more):
        done = self.place.hearth("pull", name, **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return pathlib.Path(done.stdout.strip())

    def fails(self, pattern, *arguments, **more):
        done = self.place.hearth(*arguments, **more)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertRegex(done.stderr, pattern)
        return done.stderr

    def holds(self, path, files):
        """The snapshot has these files and no other, each a relative link to a blob named by its hash."""
        found = {str(p.relative_to(path)): p for p in path.rglob("*") if not p.is_dir()}
        self.assertEqual(set(found), set(files))
        for name, link in found.items():
            blob = self.place.folder() / "blobs" / blob_id(name, files[name])
            target = os.readlink(link)
            self.assertTrue(link.is_symlink() and target.startswith("../"), target)
            self.assertEqual(link.resolve(), blob.resolve())
            self.assertEqual(blob.read_bytes(), files[name])
        self.assertEqual(list((self.place.folder() / "blobs").glob("*.incomplete")), [])

    # ---- what comes, and where to

    def test_a_pull_has_the_layout_that_everybody_knows(self):
        path = self.pulls()
        self.assertEqual(path, self.place.folder() / "snapshots" / self.commit)
        self.holds(path, TINY)
        self.assertEqual((self.place.folder() / "refs/main").read_text(), self.commit)
        self.hub.forget()
        self.assertEqual(self.pulls(), path)
        self.assertEqual([r.path for r in self.hub.asked if "resolve" in r.path], [])

    def test_only_what_a_model_needs_comes(self):
        extra = {"README.md": b"x", "pytorch_model.bin": b"x" * 99, "code.py": b"x", "onnx/model.onnx": b"x", "original/params.json": b"{}",
                 "consolidated.safetensors": b"x", "model.q4.gguf": b"x", ".gitattributes": b"x"}
        needed = {**TINY, "empty.json": b"", "generation_config.json": b"{}", "chat_template.jinja": b"{{ messages }}", "tokenizer.model": b"x"}
        self.hub.add("org/tiny", {**extra, **needed})
        self.holds(self.pulls(), needed)

    def test_shards_are_those_of_the_index(self):
        sharded = in_shards(TINY)
        self.hub.add("org/tiny", {**sharded, "other.safetensors": b"not in the index"})
        self.hub.page = 3                                           # the listing comes in pages
        path = self.pulls()
        self.holds(path, sharded)
        self.assertGreater(len(self.hub.requests("hub", "cursor=")), 1)
        want = self.place.hearth("run", str(FIXTURES / "llama3"), *ASK).stdout
        self.assertEqual(self.place.hearth("run", "org/tiny", "--offline", *ASK).stdout, want)
        (self.place.folder() / "snapshots" / path.name / "model-00002-of-00002.safetensors").unlink()
        self.fails("not on this disk, or not all of it", "run", "org/tiny", "--offline", *ASK)

    def test_a_revision(self):
        other = {**TINY, "config.json": TINY["config.json"] + b"\n"}
        commit = self.hub.add("org/tiny", other, "refs/pr/3")
        self.assertEqual(self.pulls("org/tiny@refs/pr/3").name, commit)
        self.assertEqual((self.place.folder() / "refs/refs/pr/3").read_text(), commit)
        self.assertFalse((self.place.folder() / "refs/main").exists())
        self.assertEqual(self.pulls(f"org/tiny@{self.commit}").name, self.commit)
        self.assertEqual(self.hub.sent["model.safetensors"], len(TINY["model.safetensors"]))    # both have the same: it came once
        self.fails('no revision "v9".*@v9', "pull", "org/tiny@v9")
        self.assertIn("icense", self.place.hearth("run", "org/tiny@refs/pr/3", "--offline", *ASK).stdout)
        self.fails("not on this disk", "run", "org/tiny", "--offline", *ASK)

    def test_a_gguf_repository(self):
        self.hub.add("org/quants", {"tiny-Q4_K_M.gguf": GGUF, "tiny-Q8_0.gguf": GGUF + b"\0" * 32, "mmproj-F16.gguf": b"x", "config.json": b"{}",
                                    "big/tiny-BF16-00001-of-00002.gguf": b"x", "big/tiny-BF16-00002-of-00002.gguf": b"x", "README.md": b"x"})
        done = self.place.hearth("pull", "org/quants")
        self.assertTrue(done.stdout.endswith("/tiny-Q4_K_M.gguf\n"), done.stdout)
        self.assertRegex(done.stderr, "tiny-Q4_K_M.gguf it is, one of 3 GGUF files.*org/quants:")
        self.assertEqual(set(self.hub.sent), {"tiny-Q4_K_M.gguf"})
        for choice in ("q8_0", "Q8_0", "tiny-Q8_0.gguf"):
            self.assertTrue(self.pulls(f"org/quants:{choice}").name == "tiny-Q8_0.gguf")
        self.fails('no GGUF file is "Q2_K"; there are: .*tiny-Q4_K_M.gguf, tiny-Q8_0.gguf', "pull", "org/quants:Q2_K")
        self.fails("several parts", "pull", "org/quants:BF16")
        self.assertRegex(self.place.hearth("rm", "org/quants:Q8_0").stdout, "removed org/quants:Q8_0")
        self.assertEqual([p.name for p in self.place.folder("org/quants").glob("snapshots/*/*")], ["tiny-Q4_K_M.gguf"])
        self.assertEqual(len(list(self.place.folder("org/quants").glob("blobs/*"))), 1)

    def test_a_real_gguf_file_is_pulled_and_run(self):
        self.hub.add("org/smol", {"smol-Q4_1.gguf": pathlib.Path(MODEL).read_bytes()})
        ask = ("--raw", "1, 2, 3, 4,", "--temperature", "0", "--tokens", "4", "--memory", "1g")
        done = self.place.hearth("run", "org/smol:q4_1", *ask)
        self.assertEqual((done.returncode, done.stdout), (0, self.place.hearth("run", MODEL, *ask).stdout), done.stderr)
        self.assertIn("5", done.stdout)
        self.assertEqual({(row["kind"], row["name"]) for row in self.place.listed()},
                         {("pulled", "org/smol"), ("packed", "org/smol"), ("packed", pathlib.Path(MODEL).stem)})

    def test_serve_pulls_and_goes_by_its_name(self):
        server = self.place.start("serve", "org/tiny", "--port", "0", "--memory", "1g")
        try:
            url = next(re.search(r"http://\S+:\d+", line)[0] for line in server.stderr if "listening" in line)
            with urllib.request.urlopen(url + "/v1/models", timeout=10) as answer:
                self.assertEqual([m["id"] for m in json.load(answer)["data"]], ["org/tiny"])
            with urllib.request.urlopen(url + "/v1/models/org/tiny", timeout=10) as answer:
                self.assertEqual(json.load(answer)["id"], "org/tiny")
            body = json.dumps({"model": "org/tiny", "prompt": "hello", "max_tokens": 4}).encode()
            with urllib.request.urlopen(urllib.request.Request(url + "/v1/completions", body), timeout=20) as answer:
                self.assertEqual(json.load(answer)["usage"]["completion_tokens"], 4)
        finally:
            server.send_signal(signal.SIGTERM)
            server.communicate(timeout=60)
        self.assertEqual(server.returncode, 0)
        self.hub.forget()
        self.assertEqual(self.place.hearth("run", "org/tiny", *ASK).returncode, 0)
        self.assertEqual(self.hub.asked, [])                        # what is here is served without asking anybody

    def test_serve_can_be_stopped_while_it_pulls(self):
        self.hub.pause = 0.5
        server = self.place.start("serve", "org/tiny", "--port", "0", "--memory", "1g")
        self.wait_for_bytes(60000)
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=60)
        self.assertEqual(server.returncode, -signal.SIGTERM)

    # ---- what goes wrong on the way

    def test_a_cut_connection_goes_on_where_it_broke(self):
        self.hub.cut = {"model.safetensors": [100000, 70000], "tokenizer.json": [5000]}
        self.holds(self.pulls(), TINY)
        ranges = [r.headers.get("Range") for r in self.hub.requests("other")]
        self.assertEqual(ranges, [None, "bytes=100000-", "bytes=170000-"])
        self.assertEqual(self.hub.sent["model.safetensors"], len(TINY["model.safetensors"]))
        self.assertEqual([r.headers.get("Range") for r in self.hub.requests("hub", "/tokenizer.json")], [None, "bytes=5000-"])

    def test_a_server_that_knows_no_ranges_sends_it_all_again(self):
        self.hub.cut, self.hub.no_range = {"model.safetensors": [100000]}, True
        self.holds(self.pulls(), TINY)
        self.assertEqual(self.hub.sent["model.safetensors"], len(TINY["model.safetensors"]) + 100000)

    def test_a_stalled_connection_is_given_up(self):
        self.hub.stall = {"model.safetensors": [50000]}
        self.holds(self.pulls(HF_HUB_DOWNLOAD_TIMEOUT="2"), TINY)
        self.assertEqual([r.headers.get("Range") for r in self.hub.requests("other")], [None, "bytes=50000-"])

    def test_a_wrong_hash_is_refused_and_nothing_kept(self):
        for name in ("model.safetensors", "tokenizer.json"):        # LFS's SHA-256, git's SHA-1
            with self.subTest(name=name):
                shutil.rmtree(self.place.cache, ignore_errors=True)
                self.hub.wrong[name] = 1
                self.fails(f"{name} came damaged.*try again", "pull", "org/tiny")
                self.assertEqual(list((self.place.folder() / "blobs").glob(f"{blob_id(name, TINY[name])}*")), [])
                self.assertFalse((self.place.folder() / "snapshots" / self.commit / name).exists())
                self.assertFalse((self.place.folder() / "refs/main").exists())
        self.holds(self.pulls(), TINY)

    def test_a_damaged_part_is_fetched_anew(self):
        data = TINY["model.safetensors"]
        part = self.place.folder() / "blobs" / (blob_id("model.safetensors", data) + ".incomplete")
        for left, requests in ((b"x" * 5000, ["bytes=5000-", None]), (data[:7000], ["bytes=7000-"]), (data, []), (data + b"x", [None]), (b"x" * len(data), [None])):
            with self.subTest(left=len(left)):
                shutil.rmtree(self.place.cache, ignore_errors=True)
                part.parent.mkdir(parents=True)
                part.write_bytes(left)
                self.hub.forget()
                self.holds(self.pulls(), TINY)
                self.assertEqual([r.headers.get("Range") for r in self.hub.requests("other")], requests)

    def test_a_longer_file_than_promised_is_refused(self):
        self.hub.listed = {"model.safetensors": {"lfs": {"oid": blob_id("model.safetensors", TINY["model.safetensors"]), "size": 1000, "pointerSize": 1}}}
        self.fails("more comes than the hub promised", "pull", "org/tiny")

    def test_a_disk_that_takes_no_more(self):
        done = subprocess.run([HEARTH, "pull", "org/tiny"], capture_output=True, text=True, timeout=60, env=self.place.env,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000)))
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, "writing .*incomplete: File too large")
        self.holds(self.pulls(), TINY)
        self.assertEqual([r.headers.get("Range") for r in self.hub.requests("other")][-1], "bytes=100000-")

    def wait_for_bytes(self, n, name="model.safetensors"):
        for _ in range(1000):
            if self.hub.sent[name] >= n:
                return
            time.sleep(0.01)
        self.fail("nothing comes")

    def test_killed_in_the_middle_it_goes_on(self):
        self.hub.pause = 0.3
        pull = self.place.start("pull", "org/tiny")
        self.wait_for_bytes(100000)
        pull.kill()
        pull.communicate()
        part, = (self.place.folder() / "blobs").glob("*.incomplete")
        come = part.stat().st_size
        self.assertGreater(come, 30000)
        self.assertEqual([row["whole"] for row in self.place.listed()], [False])
        self.assertIn("hearth pull goes on with it", self.place.hearth("list").stdout)
        self.fails("not on this disk, or not all of it.*hearth pull", "run", "org/tiny", "--offline", *ASK)
        self.hub.pause = 0
        self.hub.forget()
        self.holds(self.pulls(), TINY)
        self.assertEqual([r.headers.get("Range") for r in self.hub.requests("other")], [f"bytes={come}-"])
        self.assertEqual(self.hub.requests("hub", "/config.json"), [])

    def test_two_at_once_share_the_work(self):
        self.hub.pause = 0.3
        pulls = [self.place.start("pull", "org/tiny") for _ in range(3)]
        ends = [pull.communicate(timeout=60) for pull in pulls]
        self.assertEqual([pull.returncode for pull in pulls], [0, 0, 0], ends)
        self.assertEqual(len({out for out, _ in ends}), 1)
        self.assertEqual(dict(self.hub.sent), {name: len(data) for name, data in TINY.items()})
        self.assertIn("waiting for it", "".join(err for _, err in ends))
        self.holds(pathlib.Path(ends[0][0].strip()), TINY)

    def test_it_waits_for_another_program_and_rm_refuses(self):
        name = blob_id("model.safetensors", TINY["model.safetensors"])
        locks = self.place.cache / ".locks" / self.place.folder().name
        locks.mkdir(parents=True)
        with open(locks / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            pull = self.place.start("pull", "org/tiny")
            while "waiting for it" not in pull.stderr.readline():
                self.assertIsNone(pull.poll())
            (self.place.folder() / "blobs" / f"{name}.incomplete").write_bytes(b"")
            self.fails("another program is fetching it", "rm", "org/tiny")
            (self.place.folder() / "blobs" / name).write_bytes(TINY["model.safetensors"])
            (self.place.folder() / "blobs" / f"{name}.incomplete").unlink()
        self.assertEqual((pull.communicate(timeout=20), pull.returncode)[1], 0)
        self.assertEqual(self.hub.sent["model.safetensors"], 0)

    def test_a_vanished_server(self):
        self.hub.cut = {"model.safetensors": [100000]}
        pull = self.place.start("pull", "org/tiny")
        self.wait_for_bytes(100000)
        self.hub.gone = True
        self.assertRegex(pull.communicate(timeout=60)[1], "broke off .*try again; what has come is kept")
        self.assertEqual(pull.returncode, 1)
        part, = (self.place.folder() / "blobs").glob("*.incomplete")
        self.assertEqual(part.read_bytes(), TINY["model.safetensors"][:100000])
        self.fails("not to be reached .*network", "pull", "org/tiny", HF_ENDPOINT="http://127.0.0.1:9")
        self.hub.gone = False
        self.holds(self.pulls(), TINY)

    def test_too_many_requests(self):
        self.hub.answers = [("/api/models", 429, {"Retry-After": "1"}), ("/config.json", 429, {"RateLimit": '"resolvers";r=0;t=1'}), ("/tree/", 503, {})]
        done = self.place.hearth("pull", "org/tiny")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, "(?s)asks to wait 1 s.*asks to wait 1 s")
        self.hub.answers = [("/api/models", 429, {"Retry-After": "3600"})]
        self.fails("too many requests.*wait 3600 s.*HF_TOKEN", "pull", "org/tiny")              # and is not waited for
        self.hub.answers = [("/api/models", 500, {})] * 9
        self.fails("HTTP 500.*try again later", "pull", "org/tiny")

    # ---- who may

    def test_the_token_goes_to_the_hub_and_nowhere_else(self):
        home = self.place.home
        (home / "hf").mkdir()
        (home / "hf/token").write_text("hf_file\n")
        (home / "cache/huggingface").mkdir(parents=True)
        (home / "cache/huggingface/token").write_text("hf_usual")
        for more, token in (({"HF_TOKEN": "hf_a"}, "hf_a"), ({"HUGGING_FACE_HUB_TOKEN": "hf_b"}, "hf_b"), ({"HF_TOKEN": "hf_a", "HUGGING_FACE_HUB_TOKEN": "hf_b"}, "hf_a"),
                            ({"HF_HOME": str(home / "hf")}, "hf_file"), ({"HF_TOKEN_PATH": "~/hf/token"}, "hf_file"), ({}, "hf_usual"),
                            ({"HF_TOKEN": "hf_a", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}, None)):
            with self.subTest(**more):
                self.hub.forget()
                self.pulls(HF_HUB_CACHE=str(home / f"cache-{len(list(home.iterdir()))}"), **more)
                self.assertEqual({r.headers.get("Authorization") for r in self.hub.requests("hub")}, {token and f"Bearer {token}"})
                self.assertGreater(len(self.hub.requests("other")), 0)
                self.assertFalse(any("Authorization" in r.headers or "hf_" in str(r) for r in self.hub.requests("other")))
                self.hub.other = self.hub.other.replace("localhost", "127.0.0.1")       # the same host then, only another port
        self.fails("HF_TOKEN has a character", "pull", "org/tiny", HF_TOKEN="hf_a\nX-Evil: 1")

    def test_redirects_are_followed_with_care(self):
        self.hub.add("org/new", TINY)
        self.hub.moved["org/old"] = "org/new"
        self.pulls("org/old", HF_TOKEN="hf_a")
        self.assertEqual({r.headers.get("Authorization") for r in self.hub.requests("hub")}, {"Bearer hf_a"})
        for to, pattern in ((f"http://x:y@127.0.0.1:{self.hub.url[-5:]}/", "not gone to"), ("file:///etc/passwd", "not gone to"), ("/org/tiny/resolve/main/model.safetensors", "without an end")):
            with self.subTest(to=to):
                self.hub.redirect = to
                self.fails(pattern, "pull", "org/tiny", HF_HUB_CACHE=str(self.place.home / "another"))

    def test_https(self):
        vouch, home = self.hub.make_safe(self.place.home), self.place.home
        self.place.env["HF_ENDPOINT"] = self.hub.url
        self.fails("no safe connection to https.*SSL_CERT_FILE", "pull", "org/tiny")
        self.fails(r"sends us to an address that is not gone to \(Protocol .http", "pull", "org/tiny", SSL_CERT_FILE=vouch, HF_TOKEN="hf_a")
        self.assertEqual(self.hub.requests("other"), [])            # never from https to http
        self.hub.add("org/tiny", {"config.json": TINY["config.json"], "tokenizer.json": TINY["tokenizer.json"], "model.safetensors": TINY["model.safetensors"]})
        self.hub.other = self.hub.url + "/files"
        self.pulls(REQUESTS_CA_BUNDLE=vouch)
        self.fails("no safe connection", "pull", "org/tiny", SSL_CERT_FILE=str(home / "none.pem"), HF_HUB_CACHE=str(home / "another"))

    def test_gated_private_and_absent_models(self):
        self.hub.gated["org/tiny"] = {"hf_good"}
        self.fails(f"org/tiny is gated: accept its licence at {self.hub.url}/org/tiny, .*HF_TOKEN", "pull", "org/tiny")
        self.fails(r"your token \(from HF_TOKEN\) has not been let in", "pull", "org/tiny", HF_TOKEN="hf_bad")
        self.fails("there is no model org/none .*private.*HF_TOKEN", "pull", "org/none")
        self.fails(r"no model org/none .*your token \(from HF_TOKEN\)", "pull", "org/none", HF_TOKEN="hf_bad")
        self.fails("no file or folder org/none here: there is no model", "run", "org/none", "x")
        self.hub.answers = [("/api/models", 401, {"X-Error-Message": "Invalid credentials in Authorization header"})]
        self.fails("does not take your token .*expired", "pull", "org/tiny", HF_TOKEN="hf_bad")
        self.hub.answers = [("/api/models", 403, {"X-Error-Message": "no way"})]
        self.fails("403, no way.*HF_TOKEN", "pull", "org/tiny")
        self.pulls(HF_TOKEN="hf_good")

    def test_an_address_that_ran_out_is_asked_for_again(self):
        self.hub.answers = [("Signature", 403, {})]
        self.holds(self.pulls(), TINY)
        self.assertEqual(len(self.hub.requests("hub", "model.safetensors")), 2)

    # ---- what is not to be trusted

    def test_answers_that_cannot_be(self):
        for listed, pattern in (({"path": "../../evil"}, "leads elsewhere"), ({"path": "/etc/evil"}, "leads elsewhere"), ({"path": "a/../../b"}, "leads elsewhere"),
                                ({"path": ""}, "leads elsewhere"), ({"path": "\x1b[2J\u009b2J"}, r"leads elsewhere or cannot be: \?\[2J\?\?2J$"), ({"size": -1}, "no size"), ({"size": 1e30}, "no size"), ({"oid": "../../x"}, "no hash"), ({"oid": None}, "no hash")):
            with self.subTest(**listed):
                self.hub.listed = {"config.json": listed}
                self.fails(pattern, "pull", "org/tiny")
        self.assertFalse(list(self.place.home.rglob("*evil*")) or (self.place.home.parent / "evil").exists())
        self.hub.listed = {"model.safetensors": {"lfs": {"oid": "0" * 64, "size": 2**49, "pointerSize": 1}}}
        self.fails(r"GB free, and 56\d{4}\.\d GB are still to come.*HF_HUB_CACHE", "pull", "org/tiny")
        self.hub.listed = {}
        self.hub.add("org/tiny", {**in_shards(TINY), "model.safetensors.index.json": b'{"weight_map": {"a": "../../../secret"}}'})
        self.fails("names a file that is not there: ../../../secret", "pull", "org/tiny")
        self.hub.add("org/tiny", {"README.md": b"x"})
        self.fails("org/tiny: there are no weights that hearth reads", "pull", "org/tiny")
        for name in ("org/../x", "../x", "org/x/y", "-org/x", "org/x.git", "org/a--b", "", "org/x@", "org/x@../y", "org/x@-y", "org/x:../y", "org/x:"):
            self.assertNotEqual(self.place.hearth("pull", name).returncode, 0, name)
        self.fails("wants something like https", "pull", "org/tiny", HF_ENDPOINT="ftp://x")

    def test_answers_that_are_no_hubs(self):
        with tempfile.TemporaryDirectory() as empty, subprocess.Popen(
                [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "-d", empty, "0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"}) as web:
            try:
                url = re.search(r"http://\S+?(?=/)", web.stdout.readline())[0]
                self.fails("there is no model org/tiny", "pull", "org/tiny", HF_ENDPOINT=url)
                answer = pathlib.Path(empty, "api/models/org/tiny/revision/main")
                answer.parent.mkdir(parents=True)
                for text, pattern in (("<html>", "no JSON.*is that a hub"), ("[]", "no commit"), ('{"sha": "../../../../x"}', "no commit"), ("[" * 1000, "no JSON")):
                    answer.write_text(text)
                    self.fails(pattern, "pull", "org/tiny", HF_ENDPOINT=url)
            finally:
                web.kill()

    # ---- what is here

    def test_offline(self):
        self.fails("nothing is fetched offline", "run", "org/tiny", "--offline", *ASK)
        self.fails("HF_HUB_OFFLINE", "pull", "org/tiny", HF_HUB_OFFLINE="1")
        self.assertEqual(self.hub.asked, [])
        self.pulls()
        self.hub.forget()
        for more in ({"HF_HUB_OFFLINE": "yes"}, {"TRANSFORMERS_OFFLINE": "1"}):
            self.assertEqual(self.place.hearth("run", "org/tiny", *ASK, **more).returncode, 0)
        self.assertEqual(json.loads(self.place.hearth("inspect", "org/tiny", "--offline", "--json").stdout)["architecture"], "LlamaForCausalLM")
        self.assertEqual(self.hub.asked, [])

    def test_list_and_rm(self):
        old = self.commit
        new = self.hub.add("org/tiny", {**TINY, "config.json": TINY["config.json"] + b"\n"}, "next")
        self.hub.add("org/other", {"a-Q8_0.gguf": GGUF})
        self.pulls(), self.pulls("org/tiny@next"), self.pulls("org/other")
        self.assertEqual(self.place.hearth("run", "org/tiny", *ASK).returncode, 0)
        rows = self.place.listed()
        self.assertEqual({(r["name"], r["commit"], r["revisions"], r["whole"]) for r in rows if r["kind"] == "pulled" and r["name"] == "org/tiny"},
                         {("org/tiny", old, "main", True), ("org/tiny", new, "next", True)})
        self.assertEqual([(r["name"], r["model"]) for r in rows if r["kind"] == "packed"], [("org/tiny", str(self.place.folder() / "snapshots" / old))])
        self.assertEqual({r["bytes"] for r in rows if r.get("commit") == old}, {sum(map(len, TINY.values()))})
        text = self.place.hearth("list").stdout
        self.assertRegex(text, rf"org/tiny +pulled +368 kB .*main = {old[:8]}\n")
        self.assertIn("removed", self.place.hearth("rm", "--all").stdout)
        self.assertEqual(len(self.place.listed()), 3)               # pulled models stay
        self.fails("nothing is kept", "rm", "org/tinny")
        self.fails("nothing is kept", "rm", "org/tiny@abcd")
        gone = self.place.hearth("rm", f"org/tiny@{old[:8]}")
        self.assertRegex(gone.stdout, rf"removed org/tiny@{old[:8]} \(801 B\)\nfreed 801 B\n")      # the new config is another, the rest is shared
        self.assertFalse((self.place.folder() / "refs/main").exists())
        self.assertEqual(self.place.hearth("run", "org/tiny@next", "--offline", *ASK).returncode, 0)
        self.assertIn("packed", {r["kind"] for r in self.place.listed()})
        self.assertEqual(self.place.hearth("rm", "org/tiny@next").returncode, 0)            # its packed weights go with it
        self.assertFalse(self.place.folder().exists())
        self.assertEqual([(r["kind"], r["name"]) for r in self.place.listed()], [("pulled", "org/other")])
        self.assertEqual(self.place.hearth("rm", "org/other").returncode, 0)

    def test_the_folder_is_where_the_variables_say(self):
        home = self.place.home
        for number, (more, where) in enumerate((({"HF_HUB_CACHE": str(home / "a")}, "a"), ({"HUGGINGFACE_HUB_CACHE": str(home / "b")}, "b"), ({"HF_HOME": "~/c"}, "c/hub"),
                                               ({"HF_HOME": str(home / "d"), "HF_HUB_CACHE": str(home / "e")}, "e"), ({"XDG_CACHE_HOME": ""}, ".cache/huggingface/hub"))):
            self.assertEqual(self.pulls(**more), home / where / "models--org--tiny/snapshots" / self.commit)
        bare = {k: v for k, v in self.place.env.items() if k not in ("HOME", "XDG_CACHE_HOME")}
        done = subprocess.run([HEARTH, "pull", "org/tiny"], capture_output=True, text=True, env=bare, timeout=20)
        self.assertRegex(done.stderr, "no home folder.*HF_HUB_CACHE")

    # ---- beside the usual library

    def test_the_usual_library_finds_what_hearth_pulled(self):
        path = self.pulls()
        done = self.place.python("import huggingface_hub as h; print(h.snapshot_download('org/tiny', local_files_only=True), h.scan_cache_dir().warnings)")
        self.assertEqual(done.stdout, f"{path} []\n", done.stderr)
        self.hub.forget()
        done = self.place.python("import huggingface_hub as h; print(h.snapshot_download('org/tiny'))")
        self.assertEqual(done.stdout, f"{path}\n", done.stderr)
        self.assertEqual([r.path for r in self.hub.asked if r.method == "GET" and "/resolve/" in r.path], [])

    def test_hearth_finds_what_the_usual_library_fetched(self):
        done = self.place.python("import huggingface_hub as h; print(h.snapshot_download('org/tiny'))")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.hub.forget()
        self.assertEqual(self.place.hearth("run", "org/tiny", "--offline", *ASK).returncode, 0)
        self.assertEqual(self.pulls(), pathlib.Path(done.stdout.strip()))
        self.assertEqual([r.path for r in self.hub.asked if "/resolve/" in r.path], [])
        self.assertRegex(self.place.hearth("rm", "org/tiny@main").stdout, "removed org/tiny@main")
        self.assertFalse(self.place.folder().exists())

    def test_hearth_completes_what_the_usual_library_began(self):
        done = self.place.python("import huggingface_hub as h; h.hf_hub_download('org/tiny', 'model.safetensors'); h.hf_hub_download('org/tiny', 'config.json')")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.hub.forget()
        self.assertEqual(self.place.hearth("run", "org/tiny", *ASK).returncode, 0)
        self.assertEqual(set(self.hub.sent), {"tokenizer.json", "tokenizer_config.json"})

    # ---- what one sees

    def test_a_bar_on_a_terminal(self):
        self.hub.pause = 0.2
        ours, theirs = pty.openpty()
        with subprocess.Popen([HEARTH, "pull", "org/tiny"], stdout=subprocess.DEVNULL, stderr=theirs, env=self.place.env) as pull:
            os.close(theirs)
            seen = b""
            with contextlib.suppress(OSError):
                while piece := os.read(ours, 4096):
                    seen += piece
            os.close(ours)
        self.assertEqual(pull.returncode, 0, seen)
        self.assertRegex(seen.decode(), r"\rpulling \[#+ +\] \d+ kB of 368 kB, [\d.]+ kB/s, 0:00:0\d left\x1b\[K")
        self.assertRegex(seen.decode(), r"org/tiny: 368 kB in \d+\.\d s \(\d+ kB/s\)\r\n$")

    def test_plain_lines_elsewhere(self):
        done = self.place.hearth("pull", "org/tiny")
        self.assertRegex(done.stderr, rf"^org/tiny: main is commit {self.commit[:8]}\norg/tiny: 368 kB in .* s \(.*/s\)\n$")
        self.assertRegex(self.place.hearth("pull", "org/tiny").stderr, "all of it was here\n$")


if __name__ == "__main__":
    unittest.main()
