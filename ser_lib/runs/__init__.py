"""A study under a protocol with a seed: trained (`runner`), kept (`store`), read (`results`)."""
