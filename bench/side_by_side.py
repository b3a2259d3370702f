"""side_by_side.py -- hearth and llama.cpp's server on the same file, in one run, in turns.

  python3 bench/side_by_side.py --model M.gguf --hearth build/release/hearth --llama path/to/llama-server [--rounds 3]

Each round starts each server with 2 threads and measures over HTTP, on /v1/completions with ignore_eos (hearth without its
guesses: greedy text of random words repeats itself, which would make them look better than they are):
  decode     tokens a second of 1 stream and of 16 (prompts of about 64 tokens, each its own; 64 tokens drawn)
  prefill    tokens a second of a prompt of about 500 tokens
  prefix     first token of a prompt of about 2,000 tokens, cold and repeated
  gap        the worst pause between two tokens of one stream while another client's prompt of about 4,000 tokens is read
The rounds are interleaved because these machines are shared; medians and ratios are what counts.
"""
import argparse, asyncio, json, random, signal, socket, statistics, subprocess, time

WORDS = ("time year people way day man thing woman life child world school state family student group country problem hand part place case week company system "
         "program question work government number night point home water room mother area money story fact month lot right study book eye job word business").split()


def text(words, seed):
    rng = random.Random(seed)
    return " ".join(rng.choice(WORDS) for _ in range(words))


async def stream(port, prompt, tokens, on_token=None):
    """One streamed completion: the times of its pieces, its usage."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps({"model": "default", "prompt": prompt, "max_tokens": tokens, "temperature": 0, "stream": True, "ignore_eos": True,
                       "stream_options": {"include_usage": True}}).encode()
    begin = time.perf_counter()
    writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    await writer.drain()
    times, usage = [], None
    if b" 200" not in await reader.readline():
        raise RuntimeError((await reader.read(2000)).decode(errors="replace"))
    while line := await reader.readline():
        if line.startswith(b"data: {"):
            event = json.loads(line[6:])
            usage = event.get("usage") or usage
            if any(choice.get("text") for choice in event.get("choices", [])):
                times.append(time.perf_counter())
                if on_token:
                    on_token()
    writer.close()
    return begin, times, usage


async def decode(port, streams, seed):
    runs = await asyncio.gather(*[stream(port, text(64, seed + i), 64) for i in range(streams)])
    start, end = max(times[0] for _, times, _ in runs), max(times[-1] for _, times, _ in runs)
    return sum(sum(1 for t in times if t > start) for _, times, _ in runs) / (end - start)


async def gap(port, seed):
    """The worst pause of a running stream from the moment the long prompt is sent until its first token."""
    begun, pauses, last = asyncio.Event(), [], [None]

    def tick():
        now = time.perf_counter()
        if last[0] and begun.is_set():
            pauses.append(now - last[0])
        last[0] = now

    neighbour = asyncio.create_task(stream(port, text(40, seed), 1200, tick))
    await asyncio.sleep(1)
    begun.set()
    await stream(port, text(3900, seed + 1), 1)
    neighbour.cancel()
    return max(pauses)


async def measure(port, seed):
    await stream(port, text(20, seed), 8)
    out = {"decode 1": await decode(port, 1, seed + 100), "decode 16": await decode(port, 16, seed + 200)}
    begin, times, usage = await stream(port, text(490, seed + 300), 1)
    out["prefill 500"] = usage["prompt_tokens"] / (times[0] - begin)
    prompt = text(1950, seed + 400)
    begin, times, _ = await stream(port, prompt, 4)
    out["first token cold, ms"] = (times[0] - begin) * 1000
    again = []
    for _ in range(3):
        begin, times, _ = await stream(port, prompt, 4)
        again.append((times[0] - begin) * 1000)
    out["first token repeated, ms"] = statistics.median(again)
    out["worst gap, ms"] = await gap(port, seed + 500) * 1000
    return out


def serve(command):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    server = subprocess.Popen([part.format(port=port) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(1200):
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as s:
                s.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                if b" 200" in s.recv(100):
                    return server, port
        except OSError:
            pass
        time.sleep(0.05)
    server.kill()
    raise RuntimeError(f"{command[0]} did not come up")


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--model", required=True)
    ask.add_argument("--hearth", default="build/release/hearth")
    ask.add_argument("--llama")
    ask.add_argument("--rounds", type=int, default=3)
    ask.add_argument("--json")
    a = ask.parse_args()
    peers = {"hearth": [a.hearth, "serve", a.model, "--port", "{port}", "--threads", "2", "--parallel", "17", "--ctx", "4600", "--no-draft"]}
    if a.llama:
        peers["llama.cpp"] = [a.llama, "-m", a.model, "--port", "{port}", "-t", "2", "-np", "17", "-c", str(17 * 4608), "--no-webui"]
    results = {name: [] for name in peers}
    for round_ in range(a.rounds):
        for name, command in peers.items():
            server, port = serve(command)
            try:
                results[name].append(asyncio.run(measure(port, round_ * 10000)))
                print(name, {key: round(value, 1) for key, value in results[name][-1].items()}, flush=True)
            finally:
                server.send_signal(signal.SIGTERM)
                server.wait(60)
    print(f"\n| {'median of %d rounds' % a.rounds:26} | " + " | ".join(f"{name:>10}" for name in peers) + " | ratio |\n|---|" + "---|" * (len(peers) + 1))
    for key in results["hearth"][0]:
        medians = [statistics.median(run[key] for run in results[name]) for name in peers]
        print(f"| {key:26} | " + " | ".join(f"{m:10.1f}" for m in medians) + f" | {medians[0] / medians[-1]:.2f} |")
    if a.json:
        with open(a.json, "w") as out:
            json.dump(results, out)


main()
