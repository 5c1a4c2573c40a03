"""The Pulumi CLI's workspace of a stack."""

from __future__ import annotations

from pulumi import automation as auto

__all__ = ["Workspace"]


class Workspace(auto.LocalWorkspace):
    """A workspace that does not change the stack that the user has selected."""

    def export_with_secrets(self, stack_name: str) -> str:
        """The state of a stack as JSON, secrets in plain text."""
        return self._run("stack", "export", "--stack", stack_name, "--show-secrets").stdout

    def select_stack(self, stack_name: str) -> None:
        self._run("stack", "--stack", stack_name, "--show-name")

    def create_stack(self, stack_name: str) -> None:
        self._run("stack", "init", stack_name, "--no-select")

    def _run(self, *arguments: str) -> auto.CommandResult:
        return self.pulumi_command.run([*arguments, "--non-interactive"], self.work_dir, dict(self.env_vars))
