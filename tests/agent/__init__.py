"""Drive the real pi agent on loopback: install it, script its model, talk RPC to it."""
