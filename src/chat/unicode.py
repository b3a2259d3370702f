#!/usr/bin/env python3
"""Writes unicode.def, the tables behind Python's str methods: `python3 unicode.py > unicode.def` (with Python 3.11 or later).

Code points that Unicode has not assigned are read as whatever makes the ranges longer."""
import unicodedata as u

ALL = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def ranges(has):
    """Ranges [first, last] where has(chr) holds, stepping over unassigned code points."""
    out, first, last = [], None, None
    for c in ALL:
        ch = chr(c)
        if has(ch):
            first, last = (c if first is None else first), c
        elif u.category(ch) != "Cn" and first is not None:
            out.append((first, last))
            first = None
    return out + ([(first, last)] if first is not None else [])


def mapped(function, usual):
    """(first, last, step, delta) of the one-to-one mappings, and (c, text) of the others; what `usual` does is left out."""
    runs, full = [], []
    for c in ALL:
        to = function(chr(c))
        if to == usual(chr(c)):
            continue
        if len(to) > 1:
            full.append((c, to))
            continue
        delta = ord(to) - c
        if runs:
            first, last, step, d = runs[-1]
            if d == delta and c - last in (1, 2) and (step == 0 or step == c - last):
                runs[-1] = (first, c, c - last, d)
                continue
        runs.append((c, c, 0, delta))
    return [(a, b, s or 1, d) for a, b, s, d in runs], full


def rows(macro, items):
    line = ""
    for item in items:
        cell = "%s(%s)" % (macro, ", ".join(item))
        if line and len(line) + 1 + len(cell) > 118:
            print(line)
            line = ""
        line += (" " if line else "") + cell
    print(line)


def number(x):
    return "0x%X" % x if x >= 0 else str(x)


print("""/* What Python's str methods know of Unicode %s.  Written by unicode.py.
 *
 * ALPHA, DIGIT, DECIMAL, NUMERIC, HIDDEN (first, last): isalpha(), isdigit(), isdecimal(), isnumeric(), not
 * isprintable()
 * LOWER, UPPER, TITLE (first, last, step, delta): one character to one; TITLE holds only what differs from UPPER
 * LOWER_TEXT, UPPER_TEXT, TITLE_TEXT (character, text): one character to several
 *
 * Who includes this defines the macros wanted; the others are empty. */""" % u.unidata_version)
MACROS = ["ALPHA", "DIGIT", "DECIMAL", "NUMERIC", "HIDDEN", "LOWER", "UPPER", "TITLE", "LOWER_TEXT", "UPPER_TEXT",
          "TITLE_TEXT"]
for macro in MACROS:
    print("#ifndef %s\n#define %s(...)\n#endif" % (macro, macro))
for name, has in [("ALPHA", str.isalpha), ("DIGIT", str.isdigit), ("DECIMAL", str.isdecimal),
                  ("NUMERIC", str.isnumeric),
                  ("HIDDEN", lambda ch: not ch.isprintable() and u.category(ch) != "Cn")]:
    rows(name, [(number(a), number(b)) for a, b in ranges(has)])
for name, function, usual in [("LOWER", str.lower, str), ("UPPER", str.upper, str), ("TITLE", str.title, str.upper)]:
    runs, full = mapped(function, usual)
    rows(name, [tuple(map(number, r)) for r in runs])
    rows(name + "_TEXT", [(number(c), '"%s"' % "".join("\\x%02X" % b for b in t.encode())) for c, t in full])
for macro in MACROS:
    print("#undef " + macro)
