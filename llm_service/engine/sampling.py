"""How the next token is chosen, in the parameters llama.cpp knows."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling parameters. Each one's default switches it off, but for temperature; the order is that of llama.cpp."""

    temperature: float = 0.8
    """0 takes the likeliest token always."""
    top_k: int = 40
    """0: all."""
    top_p: float = 0.95
    min_p: float = 0.05
    typical_p: float = 1.0
    top_n_sigma: float = -1.0
    xtc_probability: float = 0.0
    xtc_threshold: float = 0.1
    dynatemp_range: float = 0.0
    dynatemp_exponent: float = 1.0
    repeat_penalty: float = 1.0
    repeat_last_n: int = 64
    """Tokens that the three penalties look back; 0: none."""
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    dry_multiplier: float = 0.0
    dry_base: float = 1.75
    dry_allowed_length: int = 2
    dry_penalty_last_n: int = 1024
    mirostat: int = 0
    """1 or 2: that version of Mirostat instead of the cuts."""
    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1
    seed: int | None = None
    """None: another each time."""
    logit_bias: dict[str, float] = field(default_factory=dict)
    """By number of token, as text: JSON has no other keys."""
