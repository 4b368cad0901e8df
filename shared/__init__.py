"""Everything both apps share: the pure core, the steps, the translations and the adapters."""
