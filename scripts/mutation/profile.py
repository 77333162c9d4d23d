"""How hypothesis runs against mutants: the same examples each time, and no search for a smaller one that fails."""

from __future__ import annotations

from hypothesis import Phase, settings

settings.register_profile(
    "mutation", database=None, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate]
)
settings.load_profile("mutation")
