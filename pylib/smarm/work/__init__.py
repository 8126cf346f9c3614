"""Work over all cores: what ``smarm.map`` and ``smarm.Executor`` are made of."""
