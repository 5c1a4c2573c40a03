"""A platform's file and claims in a folder of a test."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import yaml
from buildkit_builders.claims import Claims, read_claims

TODAY = date(2026, 6, 1)
DIGEST = "sha256:" + "a" * 64
PLATFORM: dict[str, Any] = {
    "clusters": {"main": {"context": "prod-eu"}},
    "images": {
        "buildkit": f"moby/buildkit@{DIGEST}",
        "rootless": f"moby/buildkit@{DIGEST}",
        "client": f"registry.example/buildclient@{DIGEST}",
    },
    "privileged": ["builders-*"],
    "defaults": {"privileged": True, "size": "small"},
    "sizes": {
        "small": {
            "requests": {"cpu": "500m", "memory": "1Gi"},
            "limits": {"memory": "2Gi"},
            "volume": "20Gi",
            "replicas": {"max": 2},
        },
        "large": {"requests": {"cpu": 4, "memory": "8Gi"}, "volume": "100Gi"},
    },
}


def read(folder: Path, platform: dict[str, Any] | str | None = None, **teams: Any) -> Claims:
    """What is read of a platform, by default PLATFORM, and of claims, by team: YAML text or a value."""
    (folder / "claims").mkdir(exist_ok=True)
    (folder / "platform.yaml").write_text(_text(PLATFORM if platform is None else platform))
    for team, claims in teams.items():
        (folder / "claims" / f"{team}.yaml").write_text(_text(claims))
    return read_claims(folder / "platform.yaml", folder / "claims", today=TODAY)


def lines(claims: Claims, folder: Path) -> list[str]:
    """The problems as they are shown, with paths below the folder."""
    return [str(problem).replace(f"{folder}/", "") for problem in claims.problems]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else yaml.safe_dump(value, sort_keys=False)
