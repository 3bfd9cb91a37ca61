"""What a run is: its status, input and output, its events, and how it is cancelled."""
