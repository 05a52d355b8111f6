"""Reading a life from a notebook: tables, windows, slots, checkpoints, plans, the map.

`agentd.open(path)` is the way in. Nothing here takes a lock or writes into a home.
"""
