"""Two procedural worlds: a workbench (the embedded sample) and toys (the starter's pretraining)."""
