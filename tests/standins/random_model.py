"""Language models with random weights: the hardest judge of a grammar, and of a batch as good as any other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

# A plain one, with words that a document might hold too.
TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>\n{{ message['content'] }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
_SIGNS = '{}[]",:.-+0123456789 \n_/@#eEtTfFnN'
_LETTERS = "abcdefghijklmnopqrstuvwxyzабвгдежзиклмнопрстуфхцчшщыьэюя"
# The norm before the output makes vectors of length sqrt(width): with this spread a likeliest token has a part of a
# percent to a few, and two are seldom so close that another order of summing changes their order.
_SPREAD = 3.0


@dataclass(frozen=True, slots=True)
class Shape:
    """What the model is made of."""

    width: int = 128
    layers: int = 3
    heads: int = 8
    kv_heads: int = 4
    inner: int = 256
    vocabulary: int = 2_000
    context: int = 4_096
    is_half: bool = False
    """16-bit weights."""
    end_bias: float = 0.0
    """What is added to the end token's logit, about: above 0, answers are short."""
    seed: int = 1
    template: str | None = TEMPLATE


def write(path: Path, shape: Shape) -> Path:
    """Write it as GGUF; the same shape gives the same bytes."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("random")
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.inner)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_dimension_count(shape.width // shape.heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16 if shape.is_half else gguf.LlamaFileType.ALL_F32)
    rng = np.random.default_rng(shape.seed)
    _add_vocabulary(writer, shape, rng)
    _add_weights(writer, shape, rng)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_vocabulary(writer: gguf.GGUFWriter, shape: Shape, rng: np.random.Generator) -> None:
    """SentencePiece: three control tokens, every byte, signs, and words of random letters up to the size wanted."""
    control = [
        ("<unk>", gguf.TokenType.UNKNOWN),
        ("<s>", gguf.TokenType.CONTROL),
        ("</s>", gguf.TokenType.CONTROL),
    ]
    tokens = dict(control) | {f"<0x{byte:02X}>": gguf.TokenType.BYTE for byte in range(256)}
    tokens |= {sign.replace(" ", "▁"): gguf.TokenType.NORMAL for sign in _SIGNS}
    while len(tokens) < shape.vocabulary:
        alphabet = _LETTERS if rng.random() < 0.8 else _SIGNS
        word = "".join(rng.choice(list(alphabet), size=rng.integers(1, 7)))
        tokens.setdefault(word.replace(" ", "▁"), gguf.TokenType.NORMAL)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(list(tokens))
    writer.add_token_scores([-float(place) for place in range(len(tokens))])
    writer.add_token_types(list(tokens.values()))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    if shape.template is not None:
        writer.add_chat_template(shape.template)


def _add_weights(writer: gguf.GGUFWriter, shape: Shape, rng: np.random.Generator) -> None:
    def random(rows: int, columns: int) -> npt.NDArray[np.floating]:
        # Each layer keeps the size of what goes through it.
        found = rng.standard_normal((rows, columns), dtype=np.float32) / np.float32(np.sqrt(columns))
        return found.astype(np.float16) if shape.is_half else found

    ones = np.ones(shape.width, dtype=np.float32)
    kv_width = shape.width // shape.heads * shape.kv_heads
    embedding = random(shape.vocabulary, shape.width)
    # A constant in every embedding makes the first column of the output a bias per token.
    embedding[:, 0] = 1.0
    writer.add_tensor("token_embd.weight", embedding)
    for number in range(shape.layers):
        layer = f"blk.{number}"
        writer.add_tensor(f"{layer}.attn_norm.weight", ones)
        writer.add_tensor(f"{layer}.attn_q.weight", random(shape.width, shape.width))
        writer.add_tensor(f"{layer}.attn_k.weight", random(kv_width, shape.width))
        writer.add_tensor(f"{layer}.attn_v.weight", random(kv_width, shape.width))
        writer.add_tensor(f"{layer}.attn_output.weight", random(shape.width, shape.width))
        writer.add_tensor(f"{layer}.ffn_norm.weight", ones)
        writer.add_tensor(f"{layer}.ffn_gate.weight", random(shape.inner, shape.width))
        writer.add_tensor(f"{layer}.ffn_up.weight", random(shape.inner, shape.width))
        writer.add_tensor(f"{layer}.ffn_down.weight", random(shape.width, shape.inner))
    writer.add_tensor("output_norm.weight", ones)
    output = random(shape.vocabulary, shape.width) * _SPREAD
    output[2, 0] += shape.end_bias
    writer.add_tensor("output.weight", output.astype(np.float16) if shape.is_half else output)
