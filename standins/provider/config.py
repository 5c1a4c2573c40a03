"""The provider's own configuration: what is refused, and which changes replace the provider (and all it made)."""

from __future__ import annotations

from typing import Any

from standins.provider.kubeconfig import KubeconfigError, active_cluster, load
from standins.provider.values import Unknown, plain

__all__ = ["config_changes", "config_problems"]

_IDENTIFIER = "clusterIdentifier"
_WHERE = ("kubeconfig", "context", "cluster")


def config_problems(news: dict[str, Any]) -> list[tuple[str, str]]:
    """Property and reason of each setting the stand-in can't honour."""
    if plain(news.get("renderYamlToDirectory")):
        return [("renderYamlToDirectory", "rendering YAML is not supported by the stand-in provider")]
    return []


def config_changes(olds: dict[str, Any], news: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The changed settings, and those of them that replace the provider.

    A cluster has no identity in a kubeconfig, so its entry stands for it, unless `clusterIdentifier` says it better:
    if that is set, only its own change replaces.
    """
    olds, news = plain(olds), plain(news)
    diffs = sorted(key for key in olds.keys() | news.keys() if olds.get(key) != news.get(key))
    unknown = next((key for key in _WHERE if isinstance(news.get(key), Unknown)), None)
    if _IDENTIFIER in olds and _IDENTIFIER in news:
        return diffs, [_IDENTIFIER] if _IDENTIFIER in diffs else []
    if unknown is not None:
        return [unknown], [unknown]
    replaces = [_IDENTIFIER] if _IDENTIFIER in diffs and _IDENTIFIER in olds and _IDENTIFIER in news else []
    if _moved(olds, news):
        replaces += [key for key in _WHERE if key in diffs]
    if "renderYamlToDirectory" in diffs:
        replaces.append("renderYamlToDirectory")
    return diffs, replaces


def _cluster_entry(config: dict[str, Any]) -> dict[str, Any] | None:
    given = config.get("kubeconfig")
    if not isinstance(given, str) or not given:
        return None
    try:
        loaded = load(given)
    except KubeconfigError:
        return None
    return active_cluster(loaded, str(config.get("context") or ""), str(config.get("cluster") or ""))


def _moved(olds: dict[str, Any], news: dict[str, Any]) -> bool:
    before, after = _cluster_entry(olds), _cluster_entry(news)
    return before is not None and after is not None and before != after
