"""The winner as a Flower app, and an in-process Grid that runs it. Handles a candidate's code as text only."""
