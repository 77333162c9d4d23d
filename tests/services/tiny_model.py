"""A language model of half a megabyte with random weights, which a real server loads and answers with.

Its words make no sense, but its answers end: the first number of every embedding is a constant, so the first column of
the output matrix is a bias per token. Words, closing quotes and the end are made likely, single bytes unlikely.
"""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

_WIDTH, _LAYERS, _HEADS, _INNER = 64, 2, 4, 128
# Half of an embedding's length lies in its constant: it outweighs what the layers add.
_CONSTANT = 8.0
_WORDS = (
    "да", "нет", "письмо", "договор", "сумма", "дата", "город", "имя", "ответ", "текст", "документ", "получатель",
    "the", "letter", "sum", "date", "name", "answer", "text", "document", "city", "and", "of", "is",
)  # fmt: skip
_LIKELY_BYTES = {'"': 5.0, "}": 3.0, "]": 3.0, ",": 2.0}
_BYTE_BIAS, _WORD_BIAS, _END_BIAS, _NEVER = -2.0, 2.0, 2.2, -20.0


def write(path: Path, context_tokens: int, seed: int = 1) -> None:
    """Write it as GGUF; the same arguments give the same bytes."""
    rng = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(context_tokens)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(_LAYERS)
    writer.add_feed_forward_length(_INNER)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_HEADS)
    writer.add_rope_dimension_count(_WIDTH // _HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    biases = _add_vocabulary(writer)
    _add_weights(writer, biases, rng)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_vocabulary(writer: gguf.GGUFWriter) -> list[float]:
    """SentencePiece: three control tokens, every byte, some words. Returns the bias of each token."""
    tokens = ["<unk>", "<s>", "</s>"]
    types = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    biases = [_NEVER, _NEVER, _END_BIAS]
    for byte in range(256):
        tokens.append(f"<0x{byte:02X}>")
        types.append(gguf.TokenType.BYTE)
        biases.append(_LIKELY_BYTES.get(chr(byte), _BYTE_BIAS) if 32 <= byte < 127 else _NEVER)
    for word in _WORDS:
        tokens.append(f"▁{word}")
        types.append(gguf.TokenType.NORMAL)
        biases.append(_WORD_BIAS)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types(types)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    return biases


def _add_weights(writer: gguf.GGUFWriter, biases: list[float], rng: np.random.Generator) -> None:
    def random(*shape: int, scale: float = 0.05) -> npt.NDArray[np.float32]:
        return rng.normal(0.0, scale, shape).astype(np.float32)

    ones = np.ones(_WIDTH, dtype=np.float32)
    embedding = random(len(biases), _WIDTH, scale=1.0)
    embedding[:, 0] = _CONSTANT
    writer.add_tensor("token_embd.weight", embedding)
    for number in range(_LAYERS):
        layer = f"blk.{number}"
        writer.add_tensor(f"{layer}.attn_norm.weight", ones)
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            writer.add_tensor(f"{layer}.{part}.weight", random(_WIDTH, _WIDTH))
        writer.add_tensor(f"{layer}.ffn_norm.weight", ones)
        for part in ("ffn_gate", "ffn_up"):
            writer.add_tensor(f"{layer}.{part}.weight", random(_INNER, _WIDTH))
        writer.add_tensor(f"{layer}.ffn_down.weight", random(_WIDTH, _INNER))
    writer.add_tensor("output_norm.weight", ones)
    output = random(len(biases), _WIDTH, scale=0.15)
    # After the norm the constant is about sqrt(64) * 8 / sqrt(8² + 63) = 5.7.
    output[:, 0] = np.array(biases, dtype=np.float32) / 5.7
    writer.add_tensor("output.weight", output)
