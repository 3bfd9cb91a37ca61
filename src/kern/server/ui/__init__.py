"""The page: runs, sessions, schedules, workers and approvals in a browser, live.

It is rendered here, and works without a script; with one, its parts are sent anew when they change.
What models, tools and users have written is text on it, whatever it looks like.
"""
