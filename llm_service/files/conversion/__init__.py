"""Documents to text, in separate processes that are limited, warmed beforehand and recycled.

``converter`` is what the service uses, ``process`` one child as the service sees it, ``child`` what runs in
it. This file imports nothing: the child must not load what only the service needs.
"""
