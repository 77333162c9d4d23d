"""Work on text without a model: sentences, keywords, dates, amounts, contacts, names, fields of a JSON Schema.

Everything here is deterministic and bounded: each step is linear in a text that ``source.py`` has cut to size.
"""
