"""The provider stand-in's settings."""

from __future__ import annotations

from standins.provider.settings import Settings, read

# Settings


def test_settings_come_from_configuration_then_environment() -> None:
    """A setting that is given, even as false, beats the environment; texts other than true are false."""
    assert read({}, {}) == Settings()
    assert read({}, {"PULUMI_K8S_DELETE_UNREACHABLE": "true"}).delete_unreachable
    given_off = {"kubernetes:config:deleteUnreachable": "false"}
    assert not read(given_off, {"PULUMI_K8S_DELETE_UNREACHABLE": "true"}).delete_unreachable
    assert not read({"kubernetes:config:enableServerSideApply": "no"}, {}).server_side_apply
    assert read({"kubernetes:config:namespace": "n"}, {}).namespace == "n"
