"""What a run is: values only, which every other room reads.

Status, input and output, messages, tool calls, the steps of a run with their meaning, the events
that they tell, and the rows in which all of it is kept. Nothing here opens, waits or decides.
"""
