"""Tests of ``lib`` and ``tracking``. A package, for some libraries bring a package ``tests`` of their own."""
