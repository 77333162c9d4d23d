"""llama-cpp-python by itself: ``Llama``, one completion after another. Run as a program; prints JSON."""

from __future__ import annotations

import json
import sys
import time
from typing import Any


def main(path: str, threads: int, tokens: int, prompts_json: str) -> None:
    from llama_cpp import Llama

    # The cache as the engine has it, so that texts can be compared; threads 0: the library's own choice.
    chosen: dict[str, Any] = {"n_threads": threads, "n_threads_batch": threads} if threads else {}
    llama = Llama(model_path=path, n_ctx=2_048, verbose=False, **chosen)
    prompts: list[list[int]] = json.loads(prompts_json)
    llama.create_completion(prompts[0], max_tokens=2, temperature=0)
    began = time.perf_counter()
    count, texts = 0, []
    for prompt in prompts:
        answer: Any = llama.create_completion(prompt, max_tokens=tokens, temperature=0, repeat_penalty=1.0)
        count += answer["usage"]["completion_tokens"]
        texts.append(answer["choices"][0]["text"])
    json.dump({"tokens": count, "seconds": time.perf_counter() - began, "texts": texts}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.stdin.read())
