"""What the client tests share: the server's address, its counters, a raw request."""
import http.client, json, os, time, urllib.request

from openai import OpenAI

PORT = int(os.environ["HEARTH_PORT"])
BASE = f"http://127.0.0.1:{PORT}"


def client(**options):
    return OpenAI(base_url=f"{BASE}/v1", api_key="none", max_retries=0, **options)


def status():
    with urllib.request.urlopen(f"{BASE}/v1/status") as answer:
        return json.load(answer)


def wait_until_idle(seconds=20):
    """Waits until no request runs; returns the last status."""
    for _ in range(seconds * 20):
        now = status()
        if now["num_running"] == 0 and now["num_waiting"] == 0 and now["cache"]["blocks_used"] == 0:
            break
        time.sleep(0.05)
    return now


def raw(method, path, body=None, headers=None):
    """One request as bytes; returns (status, headers, bytes)."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    try:
        connection.request(method, path, body, headers or {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def resident_kb(pid):
    with open(f"/proc/{pid}/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def wait_until_touched(pid):
    """Memory is planned at start, and a thread finds its pages in the background: until that is over it only seems to grow."""
    last = resident_kb(pid)
    for _ in range(60):
        time.sleep(1)
        now = resident_kb(pid)
        if now - last < 64:
            return
        last = now
    raise AssertionError("memory still grows after a minute")
