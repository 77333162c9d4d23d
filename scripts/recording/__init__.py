"""A program on a terminal in memory, and a moving picture of it: SVG that needs no font and no script."""
