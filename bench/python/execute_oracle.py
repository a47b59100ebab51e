"""Contender of the bench case `execute`: the same programs in plain Python, one process.

Usage: execute_oracle.py CASES.jsonl RUNS
Prints one JSON object: seconds and CPU-seconds of every run, bytes of text, SHA-256 over all outputs. Timed is the work on
UTF-8 bytes in and out, as for the other contenders; reading the file is not.
"""

import hashlib
import json
import re
import sys
import time

REMOVE = re.compile(r"remove_lines\(start=(\d+), end=(\d+)\)")
NORMALIZE = re.compile(
    r'normalize\(source_str="((?:[^"\\]|\\.)*)", target_str="((?:[^"\\]|\\.)*)"\)'
)


def unescape(body):
    return re.sub(r"\\(.)", r"\1", body)


def execute(text, program):
    lines = text.split("\n")
    removed = set()
    replacements = []
    for call in program.split("\n"):
        found = REMOVE.fullmatch(call)
        if found:
            removed.update(range(int(found[1]), min(int(found[2]) + 1, len(lines))))
            continue
        found = NORMALIZE.fullmatch(call)
        if found:
            replacements.append((unescape(found[1]), unescape(found[2])))
    result = "\n".join(line for number, line in enumerate(lines) if number not in removed)
    for source, target in replacements:
        result = result.replace(source, target)
    if len(result.split()) <= 0.05 * len(text.split()):
        return ""
    return result


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        cases = [json.loads(line) for line in file]
    texts = [case["text"].encode() for case in cases]
    programs = [case["program"] for case in cases]
    seconds = []
    cpu_seconds = []
    for _ in range(int(sys.argv[2])):
        cpu_started = time.process_time()
        started = time.perf_counter()
        outputs = [
            execute(text.decode(), program).encode() for text, program in zip(texts, programs)
        ]
        seconds.append(time.perf_counter() - started)
        cpu_seconds.append(time.process_time() - cpu_started)
    digest = hashlib.sha256()
    for output in outputs:
        digest.update(output + b"\0")
    total = sum(map(len, texts))
    result = {"seconds": seconds, "cpuSeconds": cpu_seconds}
    print(json.dumps({**result, "bytes": total, "sha256": digest.hexdigest()}))


main()
