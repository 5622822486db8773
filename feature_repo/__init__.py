"""The Feast repository: definitions derived from the declaration, the online store's writer and readers, the offline source."""
