"""llama-cpp-python by itself: ``Llama``, one completion after another. A line of JSON is asked, one is answered."""

from __future__ import annotations

import sys
from typing import Any

from scripts.benchmark.engine.serving import Asked, Found, serve


def main(path: str, threads: int) -> None:
    """``threads`` 0: the library's own choice."""
    from llama_cpp import Llama

    chosen: dict[str, Any] = {"n_threads": threads, "n_threads_batch": threads} if threads else {}
    llama = Llama(model_path=path, n_ctx=2_048, verbose=False, **chosen)

    def answered(asked: Asked) -> Found:
        answers: list[Any] = [
            llama.create_completion(prompt, max_tokens=asked.tokens, temperature=0, repeat_penalty=1.0)
            for prompt in asked.prompts
        ]
        return Found(
            sum(answer["usage"]["completion_tokens"] for answer in answers),
            tuple(answer["choices"][0]["text"] for answer in answers),
        )

    serve(answered)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
