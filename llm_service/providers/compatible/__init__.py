"""Everything that speaks OpenAI's protocol: one implementation, and a description of each vendor's departures from it."""
