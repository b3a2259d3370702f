"""engines.py -- the processes that cpu_table.py measures: started, asked, paused while others are asked, ended."""
import asyncio, contextlib, json, os, resource, signal, socket, subprocess, sys, time

import over_http

HERE = os.path.dirname(os.path.abspath(__file__))
TICKS = os.sysconf("SC_CLK_TCK")
START_MAX, END_MAX = 300, 30        # seconds
MEASURED, MEASURING = 10, 11        # priorities under --fifo: the client above what it measures, which would else starve it


def cpu_seconds(pid):
    """What a process and its threads have computed so far."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def busy_seconds():
    """What all cores have computed so far, for anybody, the host's other guests included."""
    with open("/proc/stat") as f:
        user, nice, system, idle, wait, irq, soft, steal = map(int, f.readline().split()[1:9])
    return (user + nice + system + irq + soft + steal) / TICKS


class Foreign:
    """with Foreign(pids) as f: ...; then f.share is the part of all cores that others took than pids, this process and its
    children that ended meanwhile (the spinning one)."""

    def __init__(self, pids):
        self.pids = [os.getpid(), *pids]

    def read(self):
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        return busy_seconds() - ended.ru_utime - ended.ru_stime - sum(cpu_seconds(pid) for pid in self.pids), time.perf_counter()

    def __enter__(self):
        self.before = self.read()
        return self

    def __exit__(self, *_):
        busy, now = self.read()
        self.share = max(0.0, (busy - self.before[0]) / (now - self.before[1]) / os.cpu_count())


class Engine:
    """One running process.  First comes its command; then its subclass says how it is asked."""

    def __init__(self, command, fifo, log):
        if fifo:
            command = ["chrt", "-f", str(MEASURED), *command]
        self.begun, self.fifo = time.perf_counter(), fifo
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE if self.answers else log, stderr=log, text=True)
        try:
            self.await_ready()
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def end(self):
        self.go_on()
        self.process.terminate()
        try:
            self.process.wait(END_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def settle(self):
        """Waits (20 s at most) until it computes nothing: some touch their memory, or spin, for a while after they are ready."""
        for _ in range(40):
            before = cpu_seconds(self.process.pid)
            time.sleep(0.5)
            if cpu_seconds(self.process.pid) - before < 0.02:
                return

    def resident_mb(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:")) * 1024 / 1e6

    @contextlib.contextmanager
    def as_everybody(self):
        """Under the ordinary scheduler, for a while."""
        self.schedule(os.SCHED_OTHER, 0)
        yield
        self.schedule(os.SCHED_FIFO if self.fifo else os.SCHED_OTHER, MEASURED if self.fifo else 0)

    def schedule(self, policy, priority):
        for thread in os.listdir(f"/proc/{self.process.pid}/task"):
            os.sched_setscheduler(int(thread), policy, os.sched_param(priority))


class Server(Engine):
    answers = False
    works = {"decode", "prefill", "first", "shared", "gap"}

    def __init__(self, command, fifo, log):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        super().__init__([part.format(port=self.port) for part in command], fifo, log)

    def await_ready(self):
        while not self.is_up():
            if self.process.poll() is not None or time.perf_counter() - self.begun > START_MAX:
                raise RuntimeError(f"{self.process.args} did not come up")
            time.sleep(0.003)
        self.ask("prefill", prompt=8, seed=0)
        self.started_s = time.perf_counter() - self.begun

    def is_up(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as s:
                s.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                return b" 200" in s.recv(100)
        except OSError:
            return False

    def ask(self, work, **how):
        return asyncio.run(getattr(over_http, work)(self.port, **how))


class Library(Engine):
    answers = True
    works = {"decode", "prefill", "first"}

    def await_ready(self):
        self.answer()
        self.started_s = time.perf_counter() - self.begun

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args} ended")
        return json.loads(line)

    def ask(self, work, **how):
        self.process.stdin.write(json.dumps({"work": work, **how}) + "\n")
        self.process.stdin.flush()
        return self.answer()["value"]


@contextlib.contextmanager
def spinning(core):
    """Another process that keeps one core busy, as anybody's would."""
    code = f"import os\nos.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))\nos.sched_setaffinity(0, {{{core}}})\nwhile True: pass"
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        time.sleep(0.3)
        yield process
    finally:
        process.kill()
        process.wait()


def onnx_folder(prefix, gguf):
    """The folder of this model, named with or without the quantisation that the file's name ends with."""
    name = os.path.basename(gguf).removesuffix(".gguf")
    for part in (name, name.rsplit("-", 1)[0]):
        folder = os.path.join(prefix, "models", "onnx-" + part)
        if os.path.isdir(folder):
            return folder
    return None


class Kinds:
    """The engines that can be had for one model, by name: start(name, slots, context) runs one."""

    def __init__(self, options, gguf, log):
        self.o, self.gguf, self.log = options, gguf, log

    def command(self, name, slots, context):
        o, threads = self.o, str(self.o.threads)
        serve = [o.hearth, "serve", self.gguf, "--port", "{port}", "--threads", threads, "--parallel", str(slots), "--ctx", str(context)]
        if name == "hearth":
            return Server, [*serve, "--no-draft"]
        if name == "hearth guessing":
            return Server, serve
        if name == "llama.cpp":
            return Server, [o.llama, "-m", self.gguf, "--port", "{port}", "-t", threads, "-np", str(slots), "-c", str(slots * context), "--offline"]
        if name == "OpenVINO GenAI":
            return Library, [f"{o.peers}/venv-openvino/bin/python", f"{HERE}/in_openvino.py", self.gguf, threads]
        return Library, [f"{o.peers}/venv-onnx/bin/python", f"{HERE}/in_onnxruntime.py", onnx_folder(o.peers, self.gguf), threads]

    def missing(self, name):
        """What this engine lacks, or None."""
        return next((f"no {part or 'onnx folder of this model'}" for part in self.command(name, 1, 1)[1]
                     if part is None or (part.startswith("/") and not os.path.exists(part))), None)

    def start(self, name, slots, context):
        kind, command = self.command(name, slots, context)
        return kind(command, self.o.fifo, self.log)
