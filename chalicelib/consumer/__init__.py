"""The consumer of the inventory queue: it reserves and releases stock, and answers the OMS once per order."""
