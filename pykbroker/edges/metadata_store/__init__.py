"""The metadata store's backends: one interface (``ports.MetadataStore``), one test suite."""
