"""One target under libFuzzer, in a process of its own: libFuzzer ends it itself, with code 0 unless it found something.

python -m scripts.fuzzing.engine TARGET FOLDER INPUTS SEED      fuzz; what it finds lies in FOLDER
python -m scripts.fuzzing.engine TARGET FILE                    one input again, with its traceback
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import atheris

from scripts.fuzzing.target import Target, load

# The broker's limit for metadata; a message may be larger, but is no different for it.
_MAX_BYTES = 4096
# For one input: some thousand times what one takes.
_SLOW_S = 5


def main(arguments: Sequence[str]) -> None:
    name, path, *rest = arguments
    with atheris.instrument_imports(include=["llm_service", "email._parseaddr", "json.decoder"]):
        target = load(name)
    if not rest:
        target.check(Path(path).read_bytes())
        print("nothing is wrong with this input")
        return
    inputs, seed = rest
    atheris.Setup([name, *_options(target, Path(path), inputs, seed)], target.check)
    atheris.Fuzz()


def _options(target: Target, folder: Path, inputs: str, seed: str) -> list[str]:
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, data in enumerate(target.seeds):
        (corpus / str(number)).write_bytes(data)
    words = folder / "words"
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.tokens), "ascii")
    return [
        f"-runs={inputs}",
        f"-seed={seed}",
        f"-dict={words}",
        f"-artifact_prefix={folder}/",
        f"-max_len={_MAX_BYTES}",
        f"-timeout={_SLOW_S}",
        "-print_final_stats=1",
        str(corpus),
    ]


def _escaped(word: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word.encode())


if __name__ == "__main__":
    main(sys.argv[1:])
