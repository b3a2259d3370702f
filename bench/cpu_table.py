"""cpu_table.py -- hearth beside llama.cpp, OpenVINO GenAI and onnxruntime-genai on one CPU: measured in turns, a table a model, a plot.

  python3 bench/cpu_table.py --peers PREFIX [--models M.gguf ...] [--rounds 3] [--only hearth,llama.cpp] [--work decode,prefill] [--out FILE.jsonl]
  python3 bench/cpu_table.py --table FILE.jsonl ...       prints and draws what was measured before

What is measured, with two threads and greedy answers that no end of text ends, from prompts of random token ids:
  decode    tokens a second of 1, 4, 8 and 16 streams that begin together (answers of 96 to prompts of 48 read before), the time to their first tokens taken off
  prefill   tokens a second of a prompt of 512
  first     first token of a prompt of 1,950, cold and repeated
  busy      one stream alone, and while another process spins on the second core
  start     start of the process to its first token, and what it holds then (one slot of 2,560 tokens)
  memory    what a server holds with 16 slots, after decode, prefill, first, busy and shared    (the others have no slots)
  shared    16 answers of 128 tokens over the same 2,000 tokens and 20 of their own, all at once, cold    (servers; in the first --slow rounds)
  gap       worst pause of a stream while another client's prompt of 4,000 is read                        (servers; in the first --slow rounds)
hearth and llama.cpp are asked over HTTP, as users meet them, with 16 slots of 2,560 tokens; the others, which bring no server,
in process: OpenVINO's continuous batching, onnxruntime's batch of equal rows.  hearth runs twice: without its guesses for the
comparison, because greedy text of random prompts repeats itself and would flatter them; with them beside it.

All engines are up together and all but the one measured are stopped (SIGSTOP), so that a work goes round them within seconds;
before each, limits.c takes what memory and multipliers allow just then.  Order turns from round to round.  --fifo runs what is
measured under `chrt -f 10` (as root), which keeps other work out; `sysctl kernel.sched_rt_runtime_us=-1` takes away
the 5 % that Linux else reserves.  Ratios are of the best of each, in brackets of the medians.

The peers, under PREFIX (any may be missing; it is left out):
  llama.cpp/bin/llama-server           built with -DGGML_NATIVE=ON (or name it by --llama)
  venv-openvino                        python3 -m venv PREFIX/venv-openvino && PREFIX/venv-openvino/bin/pip install openvino-genai
  venv-onnx                            likewise, with pip install onnxruntime-genai
  models/NAME.gguf                     the models, for all but onnxruntime
  models/onnx-NAME/                    the same shape in int4, made by `python -m onnxruntime_genai.models.builder -p int4 -e cpu ...`
"""
import argparse, contextlib, glob, json, os, platform, signal, subprocess, sys, tempfile, time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "cpu"))
import engines, plot, table

WORKS = ["decode", "prefill", "first", "busy", "start", "memory", "shared", "gap"]
SLOTS, CONTEXT = 16, 2560
GUESSING_CONTEXT = 512          # enough for decode; it shares the machine's memory with the others
GAP_SLOTS, GAP_CONTEXT, GAP_PROMPT = 4, 5120, 4000
STARTS = 2


class Step:
    """One work that goes round the engines; ask(engine, seed) gives {row: value}."""

    def __init__(self, work, row, ask, names, repeats=1, slow=False):
        self.work, self.row, self.ask, self.names, self.repeats, self.slow = work, row, ask, names, repeats, slow


def decode(streams, tokens=table.TOKENS):
    return lambda engine, seed: {f"decode {streams}": engine.ask("decode", streams=streams, prompt=table.PROMPT, tokens=tokens, seed=seed)}


def prefill(engine, seed):
    return {"prefill": engine.ask("prefill", prompt=table.PREFILL, seed=seed)}


def first(engine, seed):
    return {f"first {key}": value for key, value in engine.ask("first", prompt=table.LONG, seed=seed).items() if value}


def busy(engine, seed):
    """Alone and beside it under the same scheduler: under --fifo the other process would get nothing."""
    one = decode(1, tokens=table.TOKENS // 2)
    with engine.as_everybody():
        alone = one(engine, seed)["decode 1"]
        with engines.spinning(sorted(os.sched_getaffinity(0))[1]):
            beside = one(engine, seed + 50)["decode 1"]
    return {"busy rate": beside, "busy": alone / beside}


def shared(engine, seed):
    return {"shared": engine.ask("shared", streams=SLOTS, prompt=2000, own=20, tokens=128, seed=seed)}


def gap(engine, seed):
    return {"gap": engine.ask("gap", prompt=GAP_PROMPT, seed=seed)}


PLAIN, SERVERS = [table.HEARTH, *table.PEERS], [table.HEARTH, "llama.cpp"]
STEPS = [*[Step("decode", f"decode {n}", decode(n), table.ENGINES) for n in table.STREAMS], Step("prefill", "prefill", prefill, PLAIN, repeats=2),
         Step("first", "first cold", first, PLAIN), Step("busy", "busy", busy, PLAIN), Step("shared", "shared", shared, SERVERS, slow=True)]
GAP = Step("gap", "gap", gap, SERVERS, repeats=2, slow=True)


class Run:
    def __init__(self, options, folder):
        self.o, self.records, self.n_asked = options, [], 0
        self.log = open(os.path.join(folder, "log"), "w+")
        self.limits = os.path.join(folder, "limits")
        subprocess.run(["cc", "-O3", "-march=native", "-pthread", os.path.join(HERE, "cpu", "limits.c"), "-o", self.limits], check=True)
        self.put(run={"date": time.strftime("%Y-%m-%d"), "machine": machine(), "threads": options.threads, "fifo": options.fifo, "command": sys.argv})
        for gguf in options.models:
            facts = [options.hearth, "inspect", "--json", "--parallel", str(SLOTS), "--ctx", str(CONTEXT), gguf]
            self.put(model=name_of(gguf), facts=json.loads(subprocess.run(facts, check=True, stdout=subprocess.PIPE).stdout))

    def put(self, **record):
        self.records.append(record)
        if self.o.out:
            with open(self.o.out, "a") as out:
                out.write(json.dumps(record) + "\n")

    def say(self, text):
        print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)

    def calibrate(self, model, round_, row):
        command = [*(["chrt", "-f", str(engines.MEASURED)] if self.o.fifo else []), self.limits, str(self.o.threads)]
        limits = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        self.put(model=model, round=round_, row=row, limits=limits)

    def keep(self, model, round_, engine, values, foreign):
        """foreign: the part of the cores that others took; 0 where that makes no difference."""
        for row, value in values.items():
            self.put(model=model, round=round_, engine=engine, row=row, value=value, foreign=round(foreign, 3))
            self.say(f"{model} round {round_ + 1}: {row:14} {engine:18} {table.number(value):>8}   (others {foreign:.0%})")

    def turn(self, step, model, round_, up):
        """One work, round the engines that are up."""
        self.calibrate(model, round_, step.row)
        for _ in range(step.repeats):
            self.n_asked += 1
            for name in [n for n in up if n in step.names]:
                engine = up[name]
                engine.go_on()
                try:
                    with engines.Foreign([engine.process.pid]) as others:
                        values = step.ask(engine, 1000 * self.n_asked)
                    self.keep(model, round_, name, values, others.share)
                except (RuntimeError, OSError, EOFError) as error:
                    self.say(f"{model}: {step.row} of {name} failed: {error}")
                    self.put(model=model, round=round_, engine=name, row=step.row, error=str(error))
                engine.pause()

    @contextlib.contextmanager
    def together(self, kinds, names, slots, context):
        """These engines up, warm and paused."""
        up = {}
        try:
            for name in names:
                try:
                    up[name] = kinds.start(name, slots, GUESSING_CONTEXT if name == table.GUESSING else context)
                except RuntimeError as error:       # the others are measured without it
                    self.say(f"{name} is left out: {error}")
                    continue
                up[name].ask("decode", streams=2, prompt=table.PROMPT, tokens=16, seed=1)
                up[name].settle()
                up[name].pause()
            yield up
        finally:
            for engine in up.values():
                engine.end()

    def starts(self, kinds, model, round_, names):
        for _ in range(STARTS):
            for name in names:
                try:
                    with engines.Foreign([]) as others:
                        engine = kinds.start(name, 1, CONTEXT)
                        others.pids.append(engine.process.pid)
                except RuntimeError as error:
                    self.say(f"{name} is left out: {error}")
                    continue
                try:
                    engine.settle()
                    values = {"start": engine.started_s * 1000, "memory 1": engine.resident_mb()}
                finally:
                    engine.end()
                self.keep(model, round_, name, values, others.share)

    def model(self, gguf, round_):
        model, kinds, works = name_of(gguf), engines.Kinds(self.o, gguf, self.log), self.o.work
        names = [name for name in table.ENGINES if name in self.o.only]
        for name in list(names):
            if lack := kinds.missing(name):
                names.remove(name)
                self.say(f"{model}: {name} is left out: {lack}")
        names = names[round_ % len(names):] + names[:round_ % len(names)]
        slow = round_ < self.o.slow
        steps = [step for step in STEPS if step.work in works and (slow or not step.slow)]
        if steps:
            with self.together(kinds, [n for n in names if any(n in step.names for step in steps)], SLOTS, CONTEXT) as up:
                for step in steps:
                    self.turn(step, model, round_, up)
                for name in up if "memory" in works else []:
                    if name in SERVERS:
                        self.keep(model, round_, name, {"memory 16": up[name].resident_mb()}, 0)
        if "gap" in works and slow:
            with self.together(kinds, [n for n in names if n in SERVERS], GAP_SLOTS, GAP_CONTEXT) as up:
                self.turn(GAP, model, round_, up)
        if "start" in works:
            self.starts(kinds, model, round_, [n for n in names if n in PLAIN])


def name_of(gguf):
    return os.path.basename(gguf).removesuffix(".gguf")


def machine():
    """This processor's name, and how many cores."""
    with open("/proc/cpuinfo") as f:
        facts = dict(map(str.strip, line.split(":", 1)) for line in f if ":" in line)
    name = facts.get("model name", platform.machine())
    return f"{os.cpu_count()} cores of {name} (family {facts['cpu family']}, model {facts['model']})" if "cpu family" in facts else f"{os.cpu_count()} cores of {name}"


def options():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    some = lambda text: text.split(",")
    ask.add_argument("--peers", metavar="PREFIX", type=os.path.abspath, default=os.path.abspath("build/peers"), help="where the peers are (build/peers)")
    ask.add_argument("--models", nargs="+", metavar="FILE", help="GGUF files, or their names under PREFIX/models (all there)")
    ask.add_argument("--hearth", default="build/release/hearth", type=os.path.abspath)
    ask.add_argument("--llama", metavar="LLAMA-SERVER", type=os.path.abspath, help="(PREFIX/llama.cpp/bin/llama-server)")
    ask.add_argument("--rounds", type=int, default=3)
    ask.add_argument("--slow", type=int, default=1, metavar="ROUNDS", help="rounds that take the works of minutes, too (1)")
    ask.add_argument("--only", type=some, default=table.ENGINES, help=f"of: {','.join(table.ENGINES)}")
    ask.add_argument("--work", type=some, default=WORKS, help=f"of: {','.join(WORKS)}")
    ask.add_argument("--threads", type=int, default=2)
    ask.add_argument("--fifo", action="store_true")
    ask.add_argument("--out", metavar="FILE.jsonl", help="adds every value to this file")
    ask.add_argument("--plot", metavar="FILE.svg", help="(beside --out or the first of --table, or cpu_table.svg)")
    ask.add_argument("--calm", type=float, default=0.1, metavar="PART", help="values taken while others had more of the cores than this do not count (0.1)")
    ask.add_argument("--table", nargs="+", metavar="FILE.jsonl", help="measures nothing")
    o = ask.parse_args()
    if not o.table:
        o.llama = o.llama or f"{o.peers}/llama.cpp/bin/llama-server"
        o.models = [m if os.path.exists(m) else f"{o.peers}/models/{m}.gguf" for m in o.models or sorted(glob.glob(f"{o.peers}/models/*.gguf"), key=os.path.getsize)]
        o.models = [os.path.abspath(m) for m in o.models]
        o.models or ask.error(f"--models: there are none in {o.peers}/models")
        for name, what in (("only", table.ENGINES), ("work", WORKS)):
            wrong = [n for n in getattr(o, name) if n not in what]
            not wrong or ask.error(f"--{name}: there is no {wrong[0]!r} among {', '.join(what)}")
    o.plot = o.plot or ((o.table[0] if o.table else o.out) or "cpu_table").removesuffix(".jsonl") + ".svg"
    return o


def measure(o):
    if o.fifo:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(engines.MEASURING))
    with tempfile.TemporaryDirectory() as folder:
        run = Run(o, folder)
        for round_ in range(o.rounds):
            for gguf in o.models:
                run.model(gguf, round_)
        return run.records


def main():
    o = options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))     # so that the engines are ended
    records = [json.loads(line) for name in o.table for line in open(name)] if o.table else measure(o)
    results = table.Results(records, o.calm)
    print(table.text(results))
    with open(o.plot, "w") as out:
        out.write(plot.svg(results))
    print(f"\nplot: {o.plot}")


main()
