"""Documents that survive."""

from __future__ import annotations

from pathlib import Path

import pytest

from local_mode.front_door.store import Store


def test_what_was_put_is_there_for_another_process(tmp_path: Path) -> None:
    store = Store(tmp_path / "new")
    store.put("job", "b", {"a": [1, "é", None]})
    store.put("job", "a", {})
    store.put("model", "b", {"x": 1})
    assert store.change("job", "b", status="done") == {"a": [1, "é", None], "status": "done"}
    # Without `close`: as a process leaves it that is killed.
    again = Store(tmp_path / "new")
    assert again.all("job") == {"a": {}, "b": {"a": [1, "é", None], "status": "done"}}
    again.drop("job", "a")
    again.drop("job", "nothing")
    assert again.get("job", "a") is None and list(again.all("job")) == ["b"]
    with pytest.raises(KeyError):
        again.change("job", "a", x=1)
    again.close()
    store.close()
