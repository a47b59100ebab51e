"""datatrove's signature stage of sentence deduplication over a file of JSON lines, a line of text a "sentence".

Usage: datatrove_signatures.py INPUT.jsonl OUTPUT_FOLDER. One process, one thread; reading and writing are part of it, as they
are for the other contenders. It is the map of datatrove's deduplication: hashes of lines, sorted, without their counts.
"""

import json
import os
import sys

from datatrove.data import Document
from datatrove.pipeline.dedup.sentence_dedup import SentDedupConfig, SentenceDedupSignature


def documents(path):
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            yield Document(text=json.loads(line)["text"], id=str(number))


def main():
    source, folder = sys.argv[1:3]
    config = SentDedupConfig(n_sentences=1, split_sentences=False)
    SentenceDedupSignature(output_folder=folder, finder_workers=1, config=config).run(
        documents(source), 0, 1
    )
    files = [os.path.join(at, name) for at, _, names in os.walk(folder) for name in names]
    print(json.dumps({"bytes": sum(os.path.getsize(name) for name in files)}))


main()
