"""house.py -- the rules of the house that no compiler knows; prints each breach as file:line: text and fails.

* a room includes only the rooms that ROOMS names for it
* no banned calls (they cannot be used safely, or hide failures)
* functions of at most 70 lines, files of at most 800
* platform #ifdef only in base/ and backend/
* no writable global data outside app/ (read from the object files when a build folder is given)
"""
import pathlib, re, subprocess, sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BANNED = re.compile(r"\b(strcpy|strcat|sprintf|vsprintf|gets|atoi|atol|atof|strtok|rand|srand|alloca|tmpnam|mktemp)\s*\(")
PLATFORM = re.compile(r"^\s*#\s*(if|ifdef|ifndef|elif)\b.*(__APPLE__|__linux__|_WIN32|__x86_64__|__aarch64__|__AVX|__ARM)")
FUNCTION_MAX, FILE_MAX = 70, 800


def rooms():
    known = {}
    for line in (ROOT / "ROOMS").read_text().splitlines():
        line = line.split("#")[0].strip()
        if line:
            room, may = line.split(":")
            known[room] = set(may.split()) | {room}
    return known


def sources(*folders):
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".c", ".h", ".def", ".cu", ".cpp"):
                yield path


def check_includes(path, room, lines, known, report):
    for number, line in enumerate(lines, 1):
        match = re.match(r'\s*#\s*include\s+"([a-z0-9_]+)/', line)
        if match and match.group(1) in known and "*" not in known[room] and match.group(1) not in known[room]:
            report(path, number, f"{room} may not include {match.group(1)} (ROOMS)")
        backends = re.match(r'\s*#\s*include\s+"backend/([a-z0-9_]+)/', line)
        inside = re.match(r"src/backend/([a-z0-9_]+)/", str(path.relative_to(ROOT)))
        if backends and (not inside or inside.group(1) != backends.group(1)):
            report(path, number, f"only backend/{backends.group(1)}/ itself may include that")


def strip_comments(text):
    keep_lines = lambda match: re.sub(r"[^\n]", " ", match.group(0))
    text = re.sub(r"/\*.*?\*/", keep_lines, text, flags=re.S)
    return re.sub(r'"(\\.|[^"\\\n])*"', '""', text)


def check_lengths(path, lines, report):
    if len(lines) > FILE_MAX:
        report(path, len(lines), f"{len(lines)} lines; a file has at most {FILE_MAX}")
    start = None
    for number, line in enumerate(lines, 1):
        if line.startswith("{"):
            start = number
        elif line.startswith("}") and start:
            if number - start - 1 > FUNCTION_MAX:
                report(path, start, f"a function of {number - start - 1} lines; the limit is {FUNCTION_MAX}")
            start = None


def check_globals(build, report):
    for library in sorted(pathlib.Path(build).glob("lib*.a")):
        if library.name == "libapp.a":
            continue
        listing = subprocess.run(["nm", "--format=sysv", str(library)], capture_output=True, text=True).stdout
        for line in listing.splitlines():
            cells = [cell.strip() for cell in line.split("|")]
            if len(cells) == 7 and re.match(r"\.(data|bss|tdata|tbss)(?!\.rel\.ro)", cells[6]) and cells[3] == "OBJECT":
                report(library, 0, f"writable global {cells[0]}")


def main():
    known, breaches = rooms(), []
    report = lambda path, number, text: breaches.append(f"{path}:{number}: {text}")
    for path in sources("src", "test", "fuzz", "lab", "bench"):
        relative = path.relative_to(ROOT)
        lines = path.read_text().splitlines()
        code = strip_comments(path.read_text()).splitlines()
        product = relative.parts[0] == "src"
        if product:
            check_includes(path, relative.parts[1], lines, known, report)
        check_lengths(path, lines, report)
        for number, line in enumerate(code, 1):
            if banned := BANNED.search(line):
                report(path, number, f"{banned.group(1)}() is banned")
            if product and relative.parts[1] not in ("base", "backend") and PLATFORM.match(line):
                report(path, number, "platform #ifdef outside base/ and backend/")
    if len(sys.argv) > 1:
        check_globals(sys.argv[1], report)
    print("\n".join(breaches) or "the house is in order")
    sys.exit(1 if breaches else 0)


main()
