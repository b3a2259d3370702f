"""over_http.py -- the works of cpu_table.py against a server, as its users meet it: /v1/completions, streamed, greedy.

Prompts are token ids, so that every engine reads the same number of them; no end of text ends an answer.  Tokens are counted
by the server's own usage, and times taken at the ends of answers, because a token may bring no text and so no event.
"""
import asyncio, bisect, itertools, json, time

import rates

WORDS = ("time year people way day man thing woman life child world school state family student group country problem hand part place case week company system "
         "program question work government number night point home water room mother area money story fact month lot right study book eye job word business").split()


class Exchange(asyncio.Protocol):
    """One request on a connection of its own.  What comes back is only kept, with its times, and read when all is over: this
    process shares its cores with what it measures."""

    def __init__(self, request):
        self.request, self.pieces, self.over = request, [], asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport, self.begin = transport, time.perf_counter()
        transport.write(self.request)

    def data_received(self, data):
        self.pieces.append((time.perf_counter(), data))

    def connection_lost(self, error):
        self.over.done() or self.over.set_result(None)

    def events(self):
        """Each event and when its last byte came."""
        data = b"".join(piece for _, piece in self.pieces)
        ends = list(itertools.accumulate(len(piece) for _, piece in self.pieces))
        line = b""
        for end, part in body(data):
            *whole, rest = part.split(b"\n")
            for piece in whole:
                line += piece
                if line.startswith(b"data: {"):
                    yield self.pieces[bisect.bisect_left(ends, end)][0], json.loads(line[6:])
                line = b""
            line += rest


def body(data):
    """The pieces of a response's body, each with the place in the data where it ends."""
    head, _, rest = data.partition(b"\r\n\r\n")
    if b" 200" not in head.split(b"\r\n")[0]:
        raise RuntimeError(f"the server answers {data[:2000].decode(errors='replace')}")
    at = len(data) - len(rest)
    if b"transfer-encoding: chunked" not in head.lower():
        yield len(data), rest
        return
    while (line := data.find(b"\r\n", at)) > 0 and (size := int(data[at:line].split(b";")[0], 16)):
        end = line + 2 + size
        if end > len(data):         # cut off by us
            return
        yield end, data[line + 2:end]
        at = end + 2


async def send(port, prompt, tokens, **draw):
    """A streamed answer that has been asked for; greedy unless `draw` says otherwise."""
    wish = json.dumps({"model": "default", "prompt": prompt, "max_tokens": tokens, "temperature": 0, "stream": True, "ignore_eos": True,
                       "stream_options": {"include_usage": True}} | draw).encode()
    request = (b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
               b"Content-Length: %d\r\n\r\n%s" % (len(wish), wish))
    _, exchange = await asyncio.get_running_loop().create_connection(lambda: Exchange(request), "127.0.0.1", port)
    return exchange


def read(exchange):
    """When the answer's tokens came, event by event, and how many tokens it has (None: it was cut off)."""
    times, n = [], None
    for when, event in exchange.events():
        n = (event.get("usage") or {}).get("completion_tokens", n)
        if any(choice.get("text") or not choice.get("finish_reason") for choice in event.get("choices", [])):
            times.append(when)
    return times, n


async def stream(port, prompt, tokens, **draw):
    """When a whole answer was asked for, when it ended, how many events and how many tokens it had."""
    exchange = await send(port, prompt, tokens, **draw)
    await exchange.over
    times, n = read(exchange)
    if not n:
        raise RuntimeError("the server broke off its answer")
    return exchange.begin, exchange.pieces[-1][0], len(times), n


async def timed(port, prompts, tokens, **draw):
    """Seconds until all of them are answered, and the answers' tokens together."""
    begin = time.perf_counter()
    answers = await asyncio.gather(*[stream(port, prompt, tokens, **draw) for prompt in prompts])
    return max(end for _, end, _, _ in answers) - begin, sum(n for *_, n in answers)


async def first_ms(port, prompt):
    """An answer of one token has ended when its token is there, also one that brings no text."""
    begin, end, _, _ = await stream(port, prompt, 1)
    return (end - begin) * 1000


async def prefill(port, prompt, seed):
    return prompt / await first_ms(port, rates.token_ids(prompt, seed)) * 1000


async def decode(port, streams, prompt, tokens, seed):
    prompts = [rates.token_ids(prompt, seed + i) for i in range(streams)]
    await timed(port, prompts, 1)
    one = await timed(port, prompts, 1)
    return rates.drawn(await timed(port, prompts, tokens), one)


async def first(port, prompt, seed):
    ids = rates.token_ids(prompt, seed)
    return {"cold": await first_ms(port, ids), "repeated": await first_ms(port, ids)}


async def shared(port, streams, prompt, own, tokens, seed):
    """Seconds until all of the streams are done, which share a prompt that nobody has read and each add their own."""
    common = rates.token_ids(prompt, seed)
    return (await timed(port, [common + rates.token_ids(own, seed + 1 + i) for i in range(streams)], tokens))[0]


async def sampled(port, prompts, tokens, seed):
    """Seconds until all of them are answered by drawing with temperature 1: the same texts from every server of one model."""
    await timed(port, prompts, 1)
    return (await timed(port, prompts, tokens, temperature=1, seed=seed))[0]


async def talkative(port, seed):
    """A prompt of words whose answer brings text with every token, or nearly: a pause between events is one between tokens.

    Random ids, and random weights, lead to many tokens that are no text by themselves."""
    tried = []
    for i in range(8):
        words = " ".join(WORDS[id % len(WORDS)] for id in rates.token_ids(40, seed + i))
        _, _, events, n = await stream(port, words, 128)
        tried.append((events / n, words))
        if events >= n:
            break
    return max(tried)[1]


async def gap(port, prompt, seed):
    """Milliseconds of the worst pause of a running stream, from the moment a long prompt is sent until its first token."""
    neighbour = await send(port, await talkative(port, seed), 4000)
    await asyncio.sleep(1)
    begin, end, _, _ = await stream(port, rates.token_ids(prompt, seed + 8), 1)
    if neighbour.over.done():
        raise RuntimeError("the neighbour's answer ended while the prompt was read")
    neighbour.transport.close()
    events = [when for when, _ in neighbour.events() if when <= end] + [end]
    return 1000 * max(b - a for a, b in zip(events, events[1:]) if b > begin)
