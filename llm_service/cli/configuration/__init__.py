"""How the settings in force are shown: a table, plain lines, JSON, or one setting with all about it."""
