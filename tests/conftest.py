"""What tests of every kind share."""

import time

import pytest


@pytest.fixture
def utc(monkeypatch):
    """Local time is UTC; gives the time zone back."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()
