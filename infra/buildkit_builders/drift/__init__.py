"""What differs between a stack and its cluster, who set it, and how it is taken back.

`observed` gathers the objects from Pulumi's events, `managed` reads who set their fields, `compare` finds the fields
that differ; `lookout` makes of that the drift of a stack and what an update has to take back, which `repair` does.
"""
