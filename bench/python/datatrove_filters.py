"""datatrove's filters over a file of JSON lines, as FineWeb's recipe chains them: C4, Gopher (repetition, quality), FineWeb.

Usage: datatrove_filters.py INPUT.jsonl OUTPUT_FOLDER. One process, one thread; reading and writing are part of it, as they
are for the other contenders.
"""

import json
import os
import sys

from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)


def documents(path):
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            yield Document(text=json.loads(line)["text"], id=str(number))


def main():
    source, folder = sys.argv[1:3]
    os.makedirs(folder)
    chain = documents(source)
    for made in (
        GopherRepetitionFilter(),
        GopherQualityFilter(),
        C4QualityFilter(filter_no_terminal_punct=False),
        FineWebQualityFilter(),
    ):
        chain = made.run(chain, 0, 1)
    kept = 0
    with open(os.path.join(folder, "kept.jsonl"), "w", encoding="utf-8") as out:
        for document in chain:
            out.write(json.dumps({"text": document.text}, ensure_ascii=False) + "\n")
            kept += 1
    print(json.dumps({"kept": kept}))


main()
