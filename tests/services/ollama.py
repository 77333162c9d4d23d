"""A real Ollama server with a random-weight model."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import httpx

from tests.services.runtime import Runtime
from tests.services.service import Service

VERSION = "0.17.4"
MODEL = "llm-service-tiny"
_CALL_LIMIT_S = 60
# Every role is shown to the model: Ollama's own template for an unknown model leaves out all but the last prompt.
_TEMPLATE = "{{ range .Messages }}[{{ .Role }}] {{ .Content }}\n{{ end }}[assistant] "
# Its answers end after some dozens of tokens; this is for the one that does not.
_LONGEST_ANSWER_TOKENS = 512


class Ollama(Service):
    """The real server's protocol, limits, cancellation and errors; of the words only the schema is kept."""

    model = MODEL
    context_tokens = 32_768
    """The model's own; every byte of a text is a token, but for the few words that it knows."""

    def __init__(self, base_url: str, runtime: Runtime, how: str) -> None:
        super().__init__(how, runtime)
        self.base_url = base_url

    def create_model(self) -> None:
        """Write the model and give it to the server; again is the same. Raises httpx.HTTPError."""
        from tests.services import tiny_model  # numpy and gguf take a quarter of a second

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "tiny.gguf"
            tiny_model.write(path, self.context_tokens)
            body = path.read_bytes()
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        with self._client() as client:
            client.post(f"/api/blobs/{digest}", content=body).raise_for_status()
            wanted = {
                "model": self.model,
                "files": {"tiny.gguf": digest},
                "template": _TEMPLATE,
                "parameters": {"num_predict": _LONGEST_ANSWER_TOKENS},
                "stream": False,
            }
            client.post("/api/create", json=wanted).raise_for_status()

    def version(self) -> str:
        with self._client() as client:
            return str(client.get("/api/version").raise_for_status().json()["version"])

    def _serves(self) -> bool:
        try:
            return bool(self.version())
        except httpx.HTTPError:
            return False

    def _client(self) -> httpx.Client:
        # trust_env off: a proxy of the environment has no business on loopback.
        return httpx.Client(base_url=self.base_url, timeout=_CALL_LIMIT_S, trust_env=False)
