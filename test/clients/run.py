"""run.py HEARTH MODEL -- the real binary, a real model, the official `openai` package, unmodified.

Starts one server, runs every test_*.py of this folder against it, and stops it with SIGTERM (which must exit 0).
"""
import contextlib, os, pathlib, re, signal, socket, subprocess, sys, tempfile, time, unittest, urllib.request

HERE = pathlib.Path(__file__).resolve().parent


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def serving(hearth, model, *options):
    """Yields (port, process); the server's log goes to a file that is shown when it does not come up or ends badly."""
    port = free_port()
    with tempfile.TemporaryFile() as log:
        command = [hearth, "serve", model, "--port", str(port), "--name", "smollm2", "--memory", "1g", "--ctx", "4096", *options]
        server = subprocess.Popen(command, stdout=log, stderr=log)

        def fail(why):
            log.seek(0)
            raise RuntimeError(f"{why}\n{log.read().decode(errors='replace')[-4000:]}")

        try:
            for _ in range(600):
                if server.poll() is not None:
                    fail(f"the server ended with {server.returncode}")
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
                        if answer.status == 200:
                            break
                except OSError:
                    time.sleep(0.1)
            else:
                fail("the server did not come up")
            yield port, server
        finally:
            if server.poll() is None:
                server.send_signal(signal.SIGTERM)
                try:
                    server.wait(60)
                except subprocess.TimeoutExpired:
                    server.kill()
                    server.wait()
        if server.returncode != 0:
            fail(f"SIGTERM should end the server with 0; it ended with {server.returncode}")


def main():
    hearth, model = sys.argv[1:3]
    os.environ["HEARTH"], os.environ["HEARTH_MODEL"] = hearth, model
    sys.path.insert(0, str(HERE))
    with tempfile.TemporaryDirectory() as cache, contextlib.ExitStack() as stack:
        os.environ["XDG_CACHE_HOME"] = cache            # packed weights of the tests go with them
        port, server = stack.enter_context(serving(hearth, model))
        os.environ["HEARTH_PORT"], os.environ["HEARTH_PID"] = str(port), str(server.pid)
        result = unittest.TextTestRunner(verbosity=2).run(unittest.defaultTestLoader.discover(str(HERE)))
    bad = len(result.failures) + len(result.errors) + len(result.skipped)
    print(f"{result.testsRun - bad} passed, {bad} failed")
    sys.exit(1 if bad or result.testsRun == 0 else 0)


if __name__ == "__main__":
    main()
