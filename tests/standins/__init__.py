"""Servers that stand in for vendors which no test can reach, each in its own process on a real socket.

They are written from the vendors' documentation, refuse what the vendor refuses, keep a log of what they were
asked, and fail by instruction: over a control endpoint, or by a directive inside a prompt or document.
"""
