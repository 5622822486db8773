"""The same small task on other engines, each a program in an environment of its own, on the same broker and events.

The task: per user, day tiles of what they did, and from them the features of `tiles.NAMES`; one row an event to a topic.
The programs `on_*.py` and `plain.py` import `job` and `tiles` and nothing else of this project.
"""
