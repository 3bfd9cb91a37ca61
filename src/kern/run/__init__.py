"""What a run is: values only, which every other room reads.

Status, input, output and events, messages, tool calls, and the rows in which they are kept.
Nothing here opens, waits or decides.
"""
