"""Tasks as a producer sends them: files into the object store, then a message that names them."""
