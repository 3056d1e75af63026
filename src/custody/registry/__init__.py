"""How a model came to be and where it is kept: runs, model versions, aliases; never gates or serving."""
