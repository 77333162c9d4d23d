"""The failover catalogue as a record and a page: ``./scripts/failover``."""
