"""A stand-in for a Hugging Face hub and for the other host that it sends large files from, with every fault that the tests want.

    with Hub() as hub:
        hub.add("org/tiny", {"config.json": b"…", "model.safetensors": b"…"})
        … HF_ENDPOINT=hub.url …

What ends in .safetensors or .gguf lies in LFS: the hub answers 302 to the other host.  `asked` keeps every request with its
headers, by host.  Faults are set on the hub and used up one by one where they are lists.
"""
import collections, hashlib, http.server, json, socket, ssl, subprocess, threading, time, urllib.parse

Request = collections.namedtuple("Request", "host method path headers")


def git_id(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def is_lfs(path):
    return path.endswith((".safetensors", ".gguf"))


def blob_id(path, data):
    return hashlib.sha256(data).hexdigest() if is_lfs(path) else git_id(data)


class Repo:
    def __init__(self):
        self.commits, self.refs = {}, {}


class Hub:
    def __init__(self):
        self.repos = {}
        self.asked = []
        self.sent = collections.Counter()       # bytes of each path's body
        self.gated = {}                         # repo -> tokens that are let in
        self.moved = {}                         # old repo name -> new
        self.answers = []                       # (part of a path, status, headers): the next request there gets this instead
        self.cut = {}                           # path -> [after how many bytes the connection ends, …]
        self.stall = {}                         # path -> [after how many bytes nothing comes any more, …]
        self.wrong = collections.Counter()      # path -> how often a byte of it is changed
        self.no_range = False                   # Range is ignored
        self.pause = 0                          # seconds between pieces
        self.gone = False                       # connections are closed without an answer
        self.page = 1000                        # entries in a page of the tree
        self.listed = {}                        # path -> what the tree says instead: changes of its entry
        self.redirect = None                    # where large files are sent from instead of the other host
        self.lock = threading.Lock()

    def __enter__(self):
        self.servers = [self.start("hub", "127.0.0.1"), self.start("other", "localhost")]
        self.url, self.other = (f"http://{name}:{server.server_port}" for server, name in zip(self.servers, ("127.0.0.1", "localhost")))
        return self

    def make_safe(self, folder):
        """From now on the hub speaks TLS.  Returns the file that vouches for it."""
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=hub",
                        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{folder}/cert.pem", f"{folder}/key.pem")
        self.servers[0].socket = context.wrap_socket(self.servers[0].socket, server_side=True, do_handshake_on_connect=False)
        self.url = self.url.replace("http:", "https:")
        return f"{folder}/cert.pem"

    def __exit__(self, *_):
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def start(self, host, name):
        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass                            # clients that are killed

        server = Server((name, 0), type("Handler", (Handler,), {"hub": self, "host": host}))
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return server

    def add(self, repo, files, ref="main"):
        """A new commit with just these files; ref leads to it.  Returns the commit."""
        into = self.repos.setdefault(repo, Repo())
        commit = hashlib.sha1(repr((repo, sorted(files.items()))).encode()).hexdigest()
        into.commits[commit] = dict(files)
        into.refs[ref] = commit
        return commit

    def requests(self, host, part="", method="GET"):
        return [r for r in self.asked if r.host == host and part in r.path and r.method == method]

    def forget(self):
        self.asked.clear()
        self.sent.clear()

    def use_up(self, faults, path):
        with self.lock:
            return faults[path].pop(0) if faults.get(path) else None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def answer(self):
        with self.hub.lock:
            self.hub.asked.append(Request(self.host, self.command, self.path, dict(self.headers)))
            fault = next((f for f in self.hub.answers if f[0] in self.path), None)
            if fault:
                self.hub.answers.remove(fault)
        if self.hub.gone:
            self.close_connection = True
            return
        if fault:
            return self.send(fault[1], b'{"error": "as the test wants it"}', fault[2])
        url = urllib.parse.urlsplit(self.path)
        parts = [urllib.parse.unquote(p) for p in url.path.split("/")[1:]]
        if self.host == "other":
            return self.send_large(parts)
        if parts[0] == "files":
            return self.send_large(parts[1:])
        return self.api(parts, urllib.parse.parse_qs(url.query)) if parts[0] == "api" else self.resolve(parts)

    def send(self, status, body=b"", headers={}):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def refuse(self, status, code, text):
        self.send(status, json.dumps({"error": text}).encode(), {"X-Error-Code": code, "X-Error-Message": text})

    def token(self):
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        return token if kind == "Bearer" else None

    def repo(self, name):
        if name in self.hub.repos:
            return self.hub.repos[name]
        if name in self.hub.moved:
            self.send(307, b"", {"Location": self.path.replace(name, self.hub.moved[name])})
        elif self.token():
            self.refuse(404, "RepoNotFound", "Repository not found")
        else:
            self.refuse(401, "", "Invalid username or password.")
        return None

    def commit(self, repo, revision):
        commit = repo.refs.get(revision, revision)
        if commit in repo.commits:
            return commit
        self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return None

    def api(self, parts, query):
        name, what, revision = "/".join(parts[2:4]), parts[4], parts[5]
        repo = self.repo(name)
        commit = repo and self.commit(repo, revision)
        if not commit:
            return
        if what == "revision":
            siblings = [{"rfilename": path} for path in repo.commits[commit]]
            return self.send(200, json.dumps({"_id": "1", "id": name, "sha": commit, "siblings": siblings}).encode())
        tree = [self.entry(path, data) for path, data in repo.commits[commit].items()]
        tree[1:1] = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": "folder"}]
        at = int(query.get("cursor", ["0"])[0])
        end, headers = at + self.hub.page, {}
        if end < len(tree):
            headers["Link"] = f'<{self.hub.url}{self.path.partition("?")[0]}?recursive=true&cursor={end}>; rel="next"'
        self.send(200, json.dumps(tree[at:end]).encode(), headers)

    def entry(self, path, data):
        entry = {"type": "file", "oid": git_id(data), "size": len(data), "path": path}
        if is_lfs(path):
            entry["lfs"] = {"oid": blob_id(path, data), "size": len(data), "pointerSize": 134}
        return {**entry, **self.hub.listed.get(path, {})}

    def resolve(self, parts):
        name, revision, path = "/".join(parts[:2]), parts[3], "/".join(parts[4:])
        repo = self.repo(name)
        commit = repo and self.commit(repo, revision)
        if not commit:
            return
        let_in = self.hub.gated.get(name)
        if let_in is not None and self.token() not in let_in:
            return self.refuse(403 if self.token() else 401, "GatedRepo", f"Access to model {name} is restricted.")
        data = repo.commits[commit].get(path)
        if data is None:
            return self.refuse(404, "EntryNotFound", "Entry not found")
        about = {"X-Repo-Commit": commit, "ETag": f'"{blob_id(path, data)}"'}
        if not is_lfs(path):
            return self.send_file(path, data, about)
        about.update({"X-Linked-Etag": about["ETag"], "X-Linked-Size": str(len(data)),
                      "Location": self.hub.redirect or f"{self.hub.other}/{name}/{commit}/{path}?Signature=a%2Fb"})
        self.send(302, b"", about)

    def send_large(self, parts):
        if self.token():
            return self.send(400, b"a token was sent to a stranger")
        self.send_file("/".join(parts[3:]), self.hub.repos["/".join(parts[:2])].commits[parts[2]]["/".join(parts[3:])], {})

    def send_file(self, path, data, about):
        hub, first = self.hub, 0
        wanted = self.headers.get("Range", "")
        if wanted and not hub.no_range:
            first = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if first >= len(data):
                return self.send(416, b"", {"Content-Range": f"bytes */{len(data)}"})
        with hub.lock:
            if self.command == "GET" and hub.wrong[path] > 0:
                hub.wrong[path] -= 1
                data = data[:-1] + bytes([data[-1] ^ 1])
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        for name, value in {**about, "Content-Length": str(len(data) - first)}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.send_pieces(path, data[first:])

    def send_pieces(self, path, data):
        hub = self.hub
        cut, stall = hub.use_up(hub.cut, path), hub.use_up(hub.stall, path)
        end = min(len(data), *(n for n in (cut, stall, len(data)) if n is not None), len(data))
        for at in range(0, end, 32768):
            piece = data[at : min(at + 32768, end)]
            self.wfile.write(piece)
            hub.sent[path] += len(piece)
            time.sleep(hub.pause)
        if stall is not None:
            time.sleep(30)
        if end < len(data):
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
